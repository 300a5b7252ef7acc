"""Perturbations in a foundation model: the authors' numbers, formulas by hand, and what must not matter."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn.errors import (
    CapabilityError,
    ExpressionError,
    GeneNameError,
    GeneOverlapError,
    GroupError,
    ParameterError,
)
from grn.models import Moments
from grn.simulate import flagged, in_silico

GENES = [f"ENSG{i:011d}" for i in range(1, 31)]
STATES = {"state_key": "disease", "start_state": "ill", "goal_state": "well"}
KEY = "in_silico_perturbation"


def cells(n=40, seed=0):
    """Counts of 30 genes; ill cells express the first ten more, well ones the last ten."""
    rng = np.random.default_rng(seed)
    state = np.array(["ill", "well", "other"])[np.arange(n) % 3]
    rate = np.full((n, 30), 0.7)
    rate[state == "ill", :10], rate[state == "well", 20:] = 3.0, 3.0
    counts = rng.poisson(rate)
    counts[:, 0] += 1
    obs = pd.DataFrame({"disease": state, "donor": np.where(np.arange(n) % 2, "a", "b")})
    obs.index = [f"cell {i}" for i in rng.permutation(n)]
    return ad.AnnData(counts.astype(np.float32), obs=obs, var=pd.DataFrame(index=GENES))


def tiny(family="geneformer", genes=GENES):
    model = grn.models.untrained(family, genes=genes, layers=2, width=16, heads=2, rng=1)
    for parameter in model.network.parameters():
        if parameter.dim() > 1:
            parameter.mul_(4)  # so that cells differ
    return model


def run(adata, **arguments):
    grn.tl.in_silico_perturbation(adata, **{"model": tiny(), "genes": GENES[:1], **arguments})
    return adata.uns[KEY]["effects"]


def turned(x, y):
    return 1 - torch.nn.functional.cosine_similarity(x.double(), y.double(), dim=-1).numpy()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_deletion_is_that_of_geneformer(shared_dir, version):
    folder = shared_dir / "reference" / "geneformer" / version
    model = grn.models.load(folder)
    with np.load(folder / "reference.npz") as found:
        reference = {name: found[name] for name in found}
    names = sorted(model.vocabulary, key=model.vocabulary.get)
    adata = ad.AnnData(reference["counts"].astype(np.float32), var=pd.DataFrame(index=names))
    adata.obs_names = [f"c{i}" for i in range(4)]
    token = {t: gene for gene, t in model.vocabulary.items()}
    gone = token[int(reference["input_ids"][0, reference["deleted_index"]])]
    grn.tl.in_silico_perturbation(adata, model=model, genes=[gone], cells_added="shift")
    edge = int(version == "v2")
    before, after = (torch.as_tensor(reference[name][-2][0]) for name in ("hidden_states", "deleted_hidden_states"))
    length = int(reference["attention_mask"][0].sum())
    wanted = turned(before[edge : length - edge].mean(0), after[edge : len(after) - edge].mean(0))
    np.testing.assert_allclose(adata.obsm["shift"][0, 0], wanted, rtol=1e-3)
    has = (reference["input_ids"] == model.vocabulary[gone]).any(axis=1)
    assert (np.isfinite(adata.obsm["shift"][:, 0]) == has).all()
    assert adata.uns[KEY]["effects"]["n_cells"].tolist() == [has.sum()]


@pytest.mark.parametrize("mode", ["delete", "overexpress"])
def test_shifts_are_those_of_the_formulas(mode):
    adata, model = cells(), tiny()
    sets = [GENES[3], (GENES[7], GENES[2])]
    grn.tl.in_silico_perturbation(
        adata, model=model, genes=sets, mode=mode, **STATES, alt_states=["other"], cells_added="shift"
    )
    total = adata.X.sum(axis=1).astype(float)
    X = np.log1p(adata.X / total[:, None] * 1e4)
    how = {"reference": Moments(X.mean(0), X.std(0), total)}
    ill, well, other = (np.flatnonzero(adata.obs["disease"] == state) for state in ("ill", "well", "other"))
    before = model.embed_cells(X, GENES, **how).double()
    after = model.perturb_cells(X, GENES, [[GENES[3]], [GENES[2], GENES[7]]], mode=mode, **how).double()
    names = [GENES[3], f"{GENES[2]}+{GENES[7]}"]
    assert adata.uns[KEY]["perturbations"].tolist() == names
    effects = adata.uns[KEY]["effects"].set_index("perturbation")
    states = adata.uns[KEY]["states"].set_index(["state", "perturbation"])
    for i, name in enumerate(names):
        moved = turned(before, after[i])
        np.testing.assert_allclose(adata.obsm["shift"][ill, i], moved[ill], atol=1e-6)
        assert np.isnan(adata.obsm["shift"][np.r_[well, other]]).all()
        there = ill[np.isfinite(moved[ill])]
        assert effects.loc[name, "n_cells"] == len(there) > 5 and effects.loc[name, "n_genes"] == 1 + i
        np.testing.assert_allclose(effects.loc[name, "shift"], moved[there].mean(), rtol=1e-5)
        np.testing.assert_allclose(effects.loc[name, "sd"], moved[there].std(ddof=1), rtol=1e-4)
        for state, members in (("well", well), ("other", other), ("ill", ill)):
            mean = before[members].mean(0)
            toward = turned(before, mean) - turned(after[i], mean)
            np.testing.assert_allclose(states.loc[(state, name), "shift"], toward[there].mean(), atol=1e-6)
        np.testing.assert_allclose(effects.loc[name, "goal_shift"], states.loc[("well", name), "shift"])
        goal = turned(before, before[well].mean(0)) - turned(after[i], before[well].mean(0))
        np.testing.assert_allclose(adata.obsm["shift_goal"][ill, i], goal[ill], atol=1e-6)
    assert (np.diff(effects["goal_shift"]) <= 0).all()


@pytest.mark.parametrize("family", ["geneformer", "scprint", "mine"])
def test_neither_order_nor_blocks_matter(family, monkeypatch):
    model = Values() if family == "mine" else tiny(family)
    arguments = {**STATES, "model": model, "groupby": "donor", "max_cells": 5}
    adata = cells()
    turned_round = adata[np.random.default_rng(1).permutation(40), ::-1].copy()
    wanted = run(adata, genes=[GENES[0], (GENES[4], GENES[1])], cells_added="shift", **arguments)
    monkeypatch.setattr(in_silico, "_CELLS_AT_A_TIME", 3)
    monkeypatch.setattr(in_silico, "_NUMBERS", 1)
    found = run(turned_round, genes=[(GENES[1], GENES[4]), GENES[0]], cells_added="shift", batch_size=1, **arguments)
    pd.testing.assert_frame_equal(found, wanted, atol=1e-6)
    assert wanted["group"].tolist() == ["a", "a", "b", "b"] and (wanted["n_cells"] <= 5).all()
    back = turned_round[adata.obs_names].obsm["shift"][:, ::-1]
    np.testing.assert_allclose(back, adata.obsm["shift"], atol=1e-6)
    assert np.isfinite(back[:, 1]).sum() <= 10
    other = run(cells(), genes=[GENES[0], (GENES[4], GENES[1])], rng=1, **arguments)
    assert not np.allclose(other["shift"], wanted["shift"])


class Values:
    """A model of a user's own that embeds cells and knows no perturbation: random sums of the values."""

    name, gene_id_kind, sha256, max_genes, gradient_kind = "mine", "ensembl", "0" * 64, 100, "none"
    value_scale = grn.models.ValueScale("log1p CP10k", 0.0, (1.0,), (1.0,), 0.0, 9.2)
    capabilities = frozenset({"cells"})
    cell_readouts = ("sum",)
    source_genes = target_genes = tuple(GENES)

    def to(self, device):
        return self

    def embed_cells(self, X, genes, *, reference=None, readout=None, max_genes=None, batch_size=8):
        weights = np.random.default_rng(0).normal(size=(30, 4))[[GENES.index(gene) for gene in genes]]
        return torch.as_tensor(np.asarray(X, dtype=np.float64) @ weights)

    def panel(self, *_, **__):
        raise NotImplementedError

    respond = respond_dual = attention = embed = encode_cells = panel


def test_a_model_that_embeds_cells_and_knows_no_perturbation_sees_other_values():
    adata = cells()
    run(adata, model=Values(), genes=[GENES[3]], cells_added="lost")
    run(adata, model=Values(), genes=[GENES[3]], mode="overexpress", cells_added="won")
    X = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)
    for key, value in (("lost", 0.0), ("won", X.max(axis=1))):
        changed = X.copy()
        changed[:, 3] = value
        wanted = turned(*(Values().embed_cells(x, GENES) for x in (X, changed)))
        if key == "lost":
            wanted[X[:, 3] == 0] = np.nan
        np.testing.assert_allclose(adata.obsm[key][:, 0], wanted, atol=1e-6)


def test_mini_perturbs_every_regulator_by_default():
    adata = grn.datasets.pbmc68k()[:60, ["SPI1", "FOS", "LYZ", "CD79A", "CST3", "NKG7", "S100A9", "JUNB"]].copy()
    grn.tl.in_silico_perturbation(adata, max_cells=20)
    effects = adata.uns[KEY]["effects"]
    assert set(effects["perturbation"]) <= {"SPI1", "FOS", "JUNB"} and (effects["shift"] > 0).any()
    assert adata.uns[KEY]["params"]["model"] == "mini" and "states" not in adata.uns[KEY]


def test_layers_and_readouts_are_obeyed():
    adata = cells()
    adata.layers["counts"], adata.X = adata.X.copy(), np.zeros_like(adata.X) + 1
    wanted = run(cells())
    pd.testing.assert_frame_equal(run(adata, layer="counts"), wanted)
    cls = run(cells(), readout="cls")
    assert abs(cls["shift"][0] - wanted["shift"][0]) > 1e-6
    few = run(cells(), max_genes=3)
    assert few["n_cells"][0] < wanted["n_cells"][0]


def test_values_without_counts_are_told(caplog):
    adata = cells()
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)
    run(adata, model=tiny("scprint"))
    assert "adata.X holds none: every cell counts as one of 10 000" in caplog.text
    caplog.clear()
    run(adata, model=tiny("scprint"), layer="counts")
    assert "10 000" not in caplog.text


def test_the_memory_budget_decides_how_many_cells_a_pass_takes(monkeypatch):
    sizes = []
    embed = Values.embed_cells
    monkeypatch.setattr(
        Values, "embed_cells", lambda self, *args, **how: sizes.append(how["batch_size"]) or embed(self, *args, **how)
    )
    for budget, size in ((2**40, 8), (3 * 30 * 16384, 3), (1, 1)):
        with grn.settings.override(memory_budget=budget):
            run(cells(), model=Values())
        assert set(sizes) == {size}
        sizes.clear()
    run(cells(), model=Values(), batch_size=5)
    assert set(sizes) == {5}


def test_an_unknown_mode_is_told_before_anything_is_loaded():
    with pytest.raises(ParameterError, match=r"mode='delet'; use one of delete, overexpress, flag.*'delete'"):
        run(cells(), mode="delet", model="no such model")


def test_what_to_do_where_no_cell_can_be_given_the_genes(monkeypatch):
    monkeypatch.setattr(Values, "embed_cells", lambda self, X, genes, **how: torch.full((len(X), 4), np.nan))
    with pytest.raises(ExpressionError, match="are raised; look at layer=") as told:
        run(cells(), model=Values(), mode="overexpress")
    assert "overexpress" not in str(told.value)


def test_genes_of_a_set_that_no_cell_has_together_stay_in_the_table():
    adata = cells()
    adata.X[::2, 5], adata.X[1::2, 6] = 0, 0
    found = run(adata, genes=[(GENES[5], GENES[6]), GENES[0]])
    assert found["perturbation"].tolist() == [GENES[0], f"{GENES[5]}+{GENES[6]}"]
    assert found["n_cells"].tolist()[1] == 0 and np.isnan(found["shift"][1])


def test_results_survive_a_file_and_a_copy(tmp_path):
    adata = cells()
    out = grn.tl.in_silico_perturbation(
        adata, model=tiny(), genes=[(GENES[0], GENES[1])], **STATES, cells_added="shift", copy=True
    )
    assert KEY not in adata.uns and not adata.obsm
    out.write_h5ad(tmp_path / "cells.h5ad")
    back = ad.read_h5ad(tmp_path / "cells.h5ad")
    for table in ("effects", "states"):
        pd.testing.assert_frame_equal(back.uns[KEY][table], out.uns[KEY][table], check_dtype=False)
    np.testing.assert_array_equal(back.obsm["shift_goal"], out.obsm["shift_goal"])


def by_flags(model, adata, rows, together):
    X = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)[rows]
    panel = model.panel(list(adata.var_names), list(adata.var_names))
    order = [adata.var_names.get_loc(gene) for gene in panel.genes]
    values = torch.as_tensor(X[:, order])
    flags = torch.zeros_like(values)
    flags[:, [panel.genes.index(gene) for gene in together]] = 1
    with torch.no_grad():
        change = model.respond_flag(panel, values, flags) - model.respond_flag(panel, values, torch.zeros_like(values))
    change = change.mean(0).numpy()
    return pd.Series(change, index=panel.targets)[adata.var_names].to_numpy()


def screened():
    adata = cells(12)
    adata.var_names = grn.datasets.pbmc68k().var_names[:30]
    return adata, tiny("scgenept", genes=list(adata.var_names))


def test_pairs_of_flags_in_scgenept():
    adata, model = screened()
    one, two = adata.var_names[[3, 9]]
    start = {"state_key": "disease", "start_state": "ill"}
    grn.tl.in_silico_perturbation(
        adata, model=model, genes=[one, two, (two, one)], mode="flag", groupby="donor", **start
    )
    found = adata.varm[KEY]
    assert found.shape == (30, 3, 2) and found.dtype == np.float32
    assert adata.uns[KEY]["groups"].tolist() == ["a", "b"]
    for i, together in enumerate(([one], [two], [one, two])):
        for g, donor in enumerate("ab"):
            rows = np.flatnonzero((adata.obs["disease"] == "ill") & (adata.obs["donor"] == donor))
            wanted = by_flags(model, adata, rows, together)
            wanted[[3, 9] if i == 2 else [3 + 6 * i]] = np.nan
            np.testing.assert_allclose(found[:, i, g], wanted, atol=1e-5)
    pair = found[:, 2] - found[:, 0] - found[:, 1]
    assert np.nanmax(np.abs(pair)) > 1e-4, "a pair is not the sum of its members"
    effects = adata.uns[KEY]["effects"].set_index(["group", "perturbation"])
    size = np.sqrt(np.nanmean(found[:, 2, 1] ** 2))
    np.testing.assert_allclose(effects.loc[("b", "+".join(sorted([one, two]))), "shift"], size, rtol=1e-5)


def test_one_flag_is_the_method_of_that_name():
    adata, model = screened()
    sources = list(adata.var_names[[3, 9]])
    run(adata, model=model, genes=sources, mode="flag", max_cells=5)
    grn.tl.infer_network(
        adata, method="scgenept_response", model=model, sources=sources, params={"max_cells": 5}, key_added="net"
    )
    edges = adata.uns["net"]["edges"]
    place = {gene: i for i, gene in enumerate(adata.var_names)}
    mine = [
        adata.varm[KEY][place[t], sources.index(s), 0] for s, t in zip(edges["source"], edges["target"], strict=True)
    ]
    np.testing.assert_allclose(mine, edges["weight"], atol=1e-5)
    assert len(edges) == 58


def test_flags_with_more_genes_than_the_model_takes(monkeypatch):
    adata, model = screened()
    pair = tuple(adata.var_names[[3, 9]])
    run(adata, model=model, genes=[pair], mode="flag")
    turned_round = adata[::-1, ::-1].copy()
    model.max_genes = 12
    run(adata, model=model, genes=[pair], mode="flag")
    run(turned_round, model=model, genes=[pair], mode="flag", batch_size=2)
    assert np.isnan(adata.varm[KEY][:, 0, 0]).sum() == 2
    np.testing.assert_allclose(turned_round[:, adata.var_names].varm[KEY], adata.varm[KEY], atol=1e-5)
    assert all(len(panel) <= 12 for panel, _ in flagged._panels(model, in_silico.sets_of(adata, model, [pair])))
    with pytest.raises(ParameterError, match="takes 12 at a time"):
        run(adata, model=model, genes=list(adata.var_names[:7]), mode="flag")


def test_a_later_call_leaves_no_old_genes_behind():
    adata, model = screened()
    run(adata, model=model, genes=[adata.var_names[0]], mode="flag")
    adata.var_names = GENES
    run(adata)
    assert KEY not in adata.varm


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"mode": "deleted", "genes": ["ENSG9"]}, ParameterError, "use one of delete, overexpress, flag. Did you mean"),
        ({"mode": "flag"}, CapabilityError, "flag"),
        ({"mode": "flag", "readout": "cls"}, ParameterError, "readout means nothing"),
        ({"model": "scgenept"}, CapabilityError, "cells"),
        ({"genes": []}, ParameterError, "empty"),
        ({"genes": [()]}, ParameterError, "empty set"),
        ({"genes": [(GENES[0], GENES[0])]}, ParameterError, "twice"),
        ({"genes": ["ENSG9"]}, GeneNameError, "1 of 1 genes"),
        ({"genes": [("unknown", GENES[0])]}, GeneOverlapError, "as a whole"),
        ({"start_state": "ill"}, ParameterError, "without state_key"),
        ({"state_key": "disease"}, ParameterError, "needs start_state"),
        ({"state_key": "disease", "start_state": "ill", "alt_states": ["other"]}, ParameterError, "needs goal_state"),
        ({**STATES, "goal_state": "ill"}, ParameterError, "twice"),
        ({**STATES, "alt_states": "other"}, ParameterError, "single string"),
        ({**STATES, "goal_state": "cured"}, GroupError, "no state 'cured'; states: ill, other"),
        ({**STATES, "state_key": "disease2"}, GroupError, "disease2"),
        ({**STATES, "goal_state": "rare"}, GroupError, r"rare \(1\)"),
        ({"groupby": "donor", "state_key": "disease", "start_state": "rare"}, GroupError, "has no cell of start_state"),
        ({"genes": [("ENSG00000000030", "ENSG00000000029")]}, ExpressionError, "expressed together|expresses all"),
        ({"max_cells": 0}, ParameterError, "max_cells=0"),
        ({"max_genes": 0}, ParameterError, "max_genes=0"),
        ({"readout": "median"}, ParameterError, "readout='median'"),
        ({"batch_size": 0}, ParameterError, "batch_size=0"),
        ({"cells_added": "a/b"}, ParameterError, "cells_added"),
    ],
    ids=str,
)
def test_what_is_refused(arguments, error, match):
    adata = cells()
    adata.X[:, 28] = 0
    adata.obs.loc[adata.obs_names[2], "disease"] = "rare"
    unknown = ad.AnnData(np.ones((40, 1), np.float32), obs=adata.obs, var=pd.DataFrame(index=["unknown"]))
    adata = ad.concat([adata, unknown], axis=1, merge="first")
    if arguments.get("model") == "scgenept":
        arguments = {"model": grn.models.untrained("scgenept", genes=GENES, layers=1, width=8, heads=2)}
    with pytest.raises(error, match=match):
        run(adata, **arguments)
    assert KEY not in adata.uns and not adata.obsm and not adata.varm
