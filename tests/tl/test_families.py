"""Every probe on every published family: the right numbers, or the typed error that says what there is instead."""

from functools import partial

import anndata as ad
import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError, ParameterError
from grn.models.protocol import virtual_cell

SYMBOLS = ["SPI1", "GATA1", "LYZ", "CD14", "CD79A", "CST3", "S100A8", "KLF1"]
FAMILIES = ("scgpt", "geneformer", "scprint", "genecompass", "scgenept", "lpm")
ENSEMBL = ("geneformer", "scprint", "genecompass")
SOURCES = ["SPI1", "GATA1"]
LACKS = {
    **{(family, "perturbation_response"): CapabilityError for family in FAMILIES if family not in ("scgenept", "lpm")},
    ("lpm", "pert"): CapabilityError,
    ("lpm", "attention"): CapabilityError,
    ("geneformer", "moving"): CapabilityError,
    ("lpm", "moving"): CapabilityError,
    ("scgenept", "unknown"): CapabilityError,
    ("genecompass", "unknown"): CapabilityError,
}
PROBES = {
    "vvp": grn.tl.vvp,
    "gradient_trajectory": grn.tl.gradient_trajectory,
    "moving": partial(grn.tl.gradient_trajectory, background="moving", key_added="moving"),
    "unknown": partial(grn.tl.vvp, background="unknown", key_added="unknown"),
    "pert": grn.tl.pert,
    "attention": grn.tl.attention,
    "perturbation_response": grn.tl.perturbation_response,
}
_MODELS = {}


def model_of(family):
    """Random weights over the genes of the object and a few others."""
    if family not in _MODELS:
        known = grn.genes.resolve([*SYMBOLS, "TP53", "MYC", "IRF8"], organism="human")
        names = known["ensembl" if family in ENSEMBL else "symbol"].tolist()
        _MODELS[family] = grn.models.untrained(family, genes=names, layers=2, width=16, heads=2, rng=3)
    return _MODELS[family]


@pytest.fixture
def cells():
    """Counts of 30 cells, in which every gene is seen in most cells."""
    counts = np.random.default_rng(1).poisson(np.linspace(1, 9, len(SYMBOLS)), size=(30, len(SYMBOLS)))
    adata = ad.AnnData(counts.astype(np.float32))
    adata.var_names, adata.obs_names = SYMBOLS, [f"cell{i}" for i in range(30)]
    adata.obs["type"] = np.repeat(["a", "b", "c"], 10)
    return adata


def run(probe, adata, family, **given):
    PROBES[probe](adata, model=model_of(family), sources=SOURCES, **given)
    return adata.varm[probe]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_gives_numbers_or_says_what_there_is(probe, family, cells):
    refusal = LACKS.get((family, probe))
    if refusal is not None:
        with pytest.raises(refusal, match=r"offers|use background='fixed'|perturbation_response"):
            run(probe, cells, family)
        assert not cells.varm and not cells.uns
        return
    values = run(probe, cells, family)
    assert values.dtype == np.float32 and values.shape[:2] == (len(SYMBOLS), 2)
    own = np.zeros(values.shape[:2], dtype=bool)
    own[[0, 1], [0, 1]] = True
    assert np.isnan(values[own]).all() and np.isfinite(values[~own]).all()
    assert np.ptp(values[~own]) > 0


def test_lpm_never_shows_other_genes(cells):
    np.testing.assert_allclose(run("unknown", cells, "lpm"), run("vvp", cells, "lpm"), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_vvp_is_a_difference_of_responses(family, cells):
    model = model_of(family)
    values = run("vvp", cells, family)
    names = dict(zip(SYMBOLS, grn.genes.resolve(SYMBOLS, organism="human")["ensembl"], strict=True))
    called = [names[g] if family in ENSEMBL else g for g in SYMBOLS]
    panel = model.panel(called[:2], called)
    base = virtual_cell(model, panel)
    with torch.no_grad():
        origin = model.respond(panel, base[None])[0]
        for m, point in enumerate(model.value_scale.perturbation_grid):
            cell = base.clone()
            cell[panel.src_pos[1]] = point
            change = (model.respond(panel, cell[None])[0] - origin).numpy()
            keep = np.arange(len(SYMBOLS)) != 1
            np.testing.assert_allclose(values[keep, 1, m], change[keep], atol=1e-5)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "geneformer"])
def test_the_gradient_is_that_of_the_response(family, cells):
    """Central differences of VVP; float32 allows no small step, so the tolerance is wide."""
    model = model_of(family)
    slopes = run("gradient_trajectory", cells, family)
    grid, step = model.value_scale.gradient_grid, 1e-2
    points = [[v - step * max(1, abs(v)), v + step * max(1, abs(v))] for v in grid]
    found = run("vvp", cells, family, grid=[p for pair in points for p in pair])
    width = np.array([b - a for a, b in points])
    wanted = (found[:, :, 1::2] - found[:, :, 0::2]) / width
    close = np.isclose(slopes, wanted, rtol=0.1, atol=0.02 * np.nanmax(np.abs(wanted)), equal_nan=True)
    assert close.mean() > 0.9  # kinks of ReLU may lie within a step


@pytest.mark.parametrize("family", FAMILIES)
def test_both_probes_in_one_pass_are_the_two_probes(family, cells):
    grn.tl.probe(cells, model=model_of(family), sources=SOURCES, key_added="joint_")
    for probe in ("vvp", "gradient_trajectory"):
        alone = run(probe, cells, family)
        scale = np.nanmax(np.abs(alone))
        np.testing.assert_allclose(cells.varm[f"joint_{probe}"], alone, atol=2e-5 * max(1.0, scale))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("probe", [p for p in PROBES if p != "moving"])
def test_order_of_genes_and_cells_and_batches_do_not_matter(probe, family, cells):
    if (family, probe) in LACKS:
        pytest.skip("the family has no such probe")
    first = run(probe, cells.copy(), family)
    rng = np.random.default_rng(0)
    genes, rows = rng.permutation(len(SYMBOLS)), rng.permutation(cells.n_obs)
    mixed = cells[rows, genes].copy()
    second = run(probe, mixed, family, batch_size=3)
    np.testing.assert_allclose(second, first[genes], atol=1e-5 * max(1.0, np.nanmax(np.abs(first))))


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "lpm"])
def test_groups_are_read_at_their_own_mean_cell(family, cells):
    grouped = run("pert", cells, family, groupby="type")
    assert grouped.shape[-1] == 3
    alone = run("pert", cells[cells.obs["type"] == "b"].copy(), family)
    np.testing.assert_allclose(grouped[:, :, 1], alone[:, :, 0], atol=1e-5 * max(1.0, np.nanmax(np.abs(alone))))


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_make_pair_features(family, cells):
    model = model_of(family)
    grn.tl.embedding(cells, model=model)
    key = f"X_{model.name}"
    table, pair = cells.varm[key], grn.get.embedding(cells, key=key, pairs=[("SPI1", "LYZ")])[0]
    if family == "lpm":
        half = table.shape[1] // 2
        np.testing.assert_array_equal(pair, np.concatenate([table[0, :half], table[2, half:]]))
    else:
        np.testing.assert_array_equal(pair, table[0] + table[2])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory", "embedding"])
def test_networks_come_from_every_family(method, family, cells):
    call = {"method": method, "model": model_of(family), "sources": SOURCES, "params": {"translator": None}}
    if family == "lpm" and method == "embedding":
        with pytest.raises(CapabilityError, match="different spaces"):
            grn.tl.infer_network(cells, **call)
        return
    grn.tl.infer_network(cells, **call)
    edges = grn.get.edges(cells)
    assert len(edges) == 2 * (len(SYMBOLS) - 1) and np.isfinite(edges["weight"]).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_shipped_translators_are_for_mini(family, cells):
    with pytest.raises(CapabilityError, match="fit_translator"):
        grn.tl.infer_network(cells, model=model_of(family), sources=SOURCES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_gives_the_same_features(family, cells, tmp_path):
    before = run("gradient_trajectory", cells.copy(), family)
    path = grn.models.save(model_of(family), tmp_path / (f"{family}.ckpt" if family == "scprint" else family))
    again = grn.models.load(path)
    assert len(again.sha256) == 64
    grn.tl.gradient_trajectory(cells, model=again, sources=SOURCES)
    np.testing.assert_array_equal(cells.varm["gradient_trajectory"], before)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "lpm"])
def test_bfloat16_keeps_responses_and_gradients(family, cells, tmp_path):
    """Not small effects of VVP: a difference of two rounded responses loses them, as the documentation says."""
    path = grn.models.save(model_of(family), tmp_path / (f"{family}.ckpt" if family == "scprint" else family))
    exact, rough = grn.models.load(path), grn.models.load(path, dtype="bfloat16")
    panel = exact.panel(exact.source_genes[:3], exact.target_genes)
    values = virtual_cell(exact, panel)[None].repeat(3, 1)
    values[torch.arange(3), panel.src_pos] = exact.value_scale.gradient_grid[5]
    tangents = torch.zeros_like(values)
    tangents[torch.arange(3), panel.src_pos] = 1.0
    with torch.no_grad():
        both = [model.respond_dual(panel, values, tangents) for model in (exact, rough)]
    off = torch.ones_like(both[0][0], dtype=torch.bool)
    off[torch.arange(3), [panel.targets.index(source) for source in panel.sources]] = False
    (right, slope), (found, rough_slope) = [[x[off] for x in pair] for pair in both]
    assert found.dtype == torch.float32
    assert 0 < (found - right).abs().max() < 0.05 * right.abs().max()
    assert torch.corrcoef(torch.stack([slope, rough_slope]))[0, 1] > 0.98


def test_bfloat16_is_for_transformers(tmp_path):
    path = grn.models.save(model_of("lpm"), tmp_path / "lpm")
    with pytest.raises(ParameterError, match="no transformer"):
        grn.models.load(path, dtype="bfloat16")


@pytest.mark.parametrize("family", ["scgenept", "lpm"])
def test_the_response_to_a_perturbation_is_a_contrast(family, cells):
    model = model_of(family)
    values = run("perturbation_response", cells, family)
    if family == "lpm":
        assert cells.uns["perturbation_response"]["groups"].tolist() == list(model.contexts)
        run("vvp", cells, family, grid=[1.0])
        np.testing.assert_allclose(values.mean(axis=-1), cells.varm["vvp"][:, :, 0], atol=1e-5)
        with pytest.raises(ParameterError, match="takes no expression"):
            run("perturbation_response", cells, family, context="mean")
    else:
        assert values.shape[-1] == 1
        mean = run("perturbation_response", cells, family, context="mean", groupby="type")
        assert mean.shape[-1] == 3 and not np.allclose(mean[:, :, 0], values[:, :, 0], equal_nan=True)
