"""LINGER on planted cells: what it finds, in which form, and that nothing depends on orders, names or batches."""

import tracemalloc

import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.metrics import average_precision_score

import grn
from grn.methods.linger import nets
from grn.methods.linger.metacells import make_metacells
from grn.methods.linger.nets import Accessibility, standardised

FIT = {"window": 60_000, "cells_per_metacell": 5, "n_metacells": 60}


def made(**sizes):
    return grn.datasets.toy_multiome(**{"n_cells": 150, "n_regulators": 4, "n_targets": 10} | sizes)


@pytest.fixture(scope="module")
def planted():
    mdata = made(n_cells=400, n_regulators=8, n_targets=25)
    motifs = grn.pp.motifs("jaspar").select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    return mdata


@pytest.fixture(scope="module")
def mdata():
    return made()


def fitted(mdata, **arguments):
    whole = mdata.copy()
    grn.tl.linger(whole, starts=mdata.uns["starts"], **FIT | arguments)
    return whole.uns["linger"]


def ordered(table, *columns):
    table = table.astype(dict.fromkeys(columns, str))
    return table.set_index(list(columns)).sort_index()


def same_networks(first, second, **tolerance):
    for name, columns in {
        "edges": ("source", "target"),
        "cis": ("region", "target"),
        "tf_re": ("source", "region"),
    }.items():
        columns = (*columns, "group") if "group" in first[name] else columns
        one, other = (ordered(entry[name], *columns) for entry in (first, second))
        pd.testing.assert_index_equal(one.index, other.index)
        np.testing.assert_allclose(one["weight"], other["weight"], **{"rtol": 1e-4, "atol": 1e-5} | tolerance)


def auprc(table, columns, truth):
    planted = set(map(tuple, truth[list(columns)].astype(str).to_numpy()))
    scores = table.assign(size=table["weight"].abs()).groupby(list(columns), observed=True)["size"].max()
    label = [pair in planted for pair in scores.index]
    return average_precision_score(label, scores), np.mean(label)


def test_planted_regulation_is_found_in_groups(planted):
    targets = [name for name in planted["rna"].var_names if name not in set(planted.uns["regulators"])]
    found = fitted(planted, groupby="group", targets=targets, cells_per_metacell=1, n_regions=None)
    for name, columns, factor in (
        ("edges", ("source", "target"), 1.3),
        ("cis", ("region", "target"), 3.0),
        ("tf_re", ("source", "region"), 2.0),
    ):
        score, chance = auprc(found[name], columns, planted.uns["truth"])
        assert score > factor * chance, (name, score, chance)


def test_edges_carry_the_region_with_the_largest_term(planted):
    found = fitted(planted, groupby="group", n_regions=None)
    edges = found["edges"].astype({"source": str, "target": str, "region": str, "group": str})
    cis = found["cis"].assign(cis=found["cis"]["weight"].abs())[["region", "target", "group", "cis"]]
    bound = found["tf_re"].rename(columns={"weight": "binding"})
    terms = cis.astype({"region": str, "target": str, "group": str}).merge(
        bound.astype({"region": str, "source": str, "group": str}), on=["region", "group"]
    )
    terms["term"] = terms["cis"] * terms["binding"]
    keys = ["source", "target", "group"]
    total = terms.groupby(keys)["term"].sum()
    strongest = terms.sort_values("term").drop_duplicates(keys, keep="last").set_index(keys)["region"]
    edges = edges.set_index(keys)
    np.testing.assert_allclose(edges["weight"].abs(), total.loc[edges.index], rtol=1e-4)
    assert (edges["region"] == strongest.loc[edges.index]).all()


def test_edges_are_signed_and_never_of_a_gene_with_itself(mdata):
    edges = fitted(mdata)["edges"]
    assert (np.sign(edges["weight"]) == edges["sign"]).all()
    assert (edges["source"].astype(str) != edges["target"].astype(str)).all()


@pytest.mark.parametrize("bulk", [False, True], ids=["scNN", "LINGER"])
def test_nothing_depends_on_the_order_of_cells_genes_or_regions(planted, bulk):
    arguments = {"groupby": "group", "n_metacells": 20}
    if bulk:
        arguments["bulk"] = first_layers(planted)
    random = np.random.default_rng(3)
    rna, atac = planted["rna"], planted["atac"]
    cells, genes, regions = (random.permutation(size) for size in (rna.n_obs, rna.n_vars, atac.n_vars))
    shuffled = mudata.MuData({"rna": rna[cells, genes].copy(), "atac": atac[cells][:, regions].copy()})
    shuffled.uns["starts"] = planted.uns["starts"].sample(frac=1, random_state=0)
    first, second = fitted(planted, **arguments), fitted(shuffled, **arguments)
    same_networks(first, second, rtol=1e-5, atol=1e-6)


def test_nothing_depends_on_batches_or_threads(mdata):
    first = fitted(mdata)
    for arguments in ({"batch_size": 1}, {"batch_size": 3}, {"n_jobs": 2}):
        same_networks(first, fitted(mdata, **arguments), rtol=0, atol=0)


def test_a_network_of_a_gene_does_not_depend_on_the_other_targets(mdata):
    first, second = fitted(mdata), fitted(mdata, targets=list(mdata["rna"].var_names[-3:]))
    edges = first["edges"][first["edges"]["target"].isin(mdata["rna"].var_names[-3:])]
    same = [ordered(table, "source", "target")["weight"] for table in (edges, second["edges"])]
    pd.testing.assert_series_equal(*same, check_exact=True)


def test_the_seed_matters(mdata):
    first, second = (fitted(mdata, rng=seed)["edges"]["weight"].to_numpy() for seed in (0, 1))
    assert not np.allclose(first, second)


def test_groups_have_networks_of_their_own_beside_that_of_all(planted):
    found = fitted(planted, groupby="group")
    groups = planted["rna"].obs["group"].cat.categories
    for name in ("edges", "cis", "tf_re", "drivers"):
        assert set(found[name]["group"]) == set(groups)
    assert "group" not in found["population"]
    alone = fitted(planted)
    assert "group" not in alone["edges"] and not {"population", "drivers"} & set(alone)
    assert found["params"]["mode"] == "scNN" and bool(found["params"]["motifs_used"])


def test_results_survive_h5mu(tmp_path, mdata):
    whole = mdata.copy()
    grn.tl.linger(whole, starts=mdata.uns["starts"], groupby="group", keep_nets=True, **FIT)
    whole.write(tmp_path / "cells.h5mu")
    read = mudata.read(tmp_path / "cells.h5mu")
    for name in ("edges", "cis", "tf_re"):
        pd.testing.assert_frame_equal(
            read.uns["linger"][name], whole.uns["linger"][name], check_categorical=False, check_dtype=False
        )
    pd.testing.assert_frame_equal(grn.tl.linger_knockout(read), grn.tl.linger_knockout(whole))


def first_layers(mdata, *, seed=0):
    """Made-up first layers on regions that are shifted by a few bases and spelled in another way."""
    random = np.random.default_rng(seed)
    links = grn.genome.link_genes(
        mdata["atac"].var_names, starts=mdata.uns["starts"], upstream=60_000, downstream=60_000
    )
    regulators = sorted(mdata.uns["regulators"])
    layers = {}
    for gene, near in links.groupby("gene"):
        table = grn.genome.parse_regions(near["region"].tolist())
        regions = (
            table["chrom"] + "-" + (table["start"] + 15).astype(str) + "-" + (table["end"] + 15).astype(str)
        ).tolist()
        columns = [*(name for name in regulators if name != gene), *regions]
        layers[gene] = pd.DataFrame(random.normal(size=(64, len(columns))), columns=columns)
    return layers


def test_bulk_pulls_networks_to_itself_and_says_so(planted):
    layers = first_layers(planted)
    plain, held = fitted(planted), fitted(planted, bulk=layers, keep_nets=True)
    assert held["params"]["mode"] == "LINGER" and held["params"]["manifold_used"] == 1.0
    nets = held["nets"]
    width = np.diff(nets["bounds"])[0]
    gene = nets["genes"][0]
    W = nets["weights"][: 64 * width].reshape(64, width)
    names = [*nets["regulators"], *nets["regions"]]
    own = [names[i] for i in nets["columns"][:width]]
    moved = {
        name.rsplit(":")[0] + "-" + "-".join(str(int(x) + 15) for x in name.split(":")[1].split("-")): name
        for name in own
        if ":" in name
    }
    layer = layers[gene].rename(columns=moved)
    shared = [name for name in own if name in layer]
    assert len(shared) > 4
    r = np.corrcoef(W[:, [own.index(name) for name in shared]].ravel(), layer[shared].to_numpy().ravel())[0, 1]
    assert r > 0.5
    apart = ordered(plain["edges"], "source", "target")["weight"] - ordered(held["edges"], "source", "target")["weight"]
    assert apart.abs().mean() > 0.02


def test_bulk_from_a_file_is_that_of_a_dict(tmp_path, mdata):
    layers = first_layers(mdata)
    arrays = {f"{gene}|weights": table.to_numpy() for gene, table in layers.items()}
    arrays |= {f"{gene}|features": table.columns.to_numpy(dtype=str) for gene, table in layers.items()}
    np.savez(tmp_path / "bulk.npz", **arrays)
    same_networks(fitted(mdata, bulk=layers), fitted(mdata, bulk=str(tmp_path / "bulk.npz")), rtol=0, atol=0)
    # without importance all squared differences count alike
    ones = arrays | {f"{gene}|importance": np.ones(table.shape) for gene, table in layers.items()}
    np.savez(tmp_path / "ones.npz", **ones)
    first, second = (fitted(mdata, bulk=path, bulk_penalty="ewc") for path in (layers, str(tmp_path / "ones.npz")))
    same_networks(first, second, rtol=0, atol=0)
    assert not np.allclose(
        first["edges"]["weight"].abs().sum(), fitted(mdata, bulk=layers)["edges"]["weight"].abs().sum()
    )


def test_confidence_of_networks_with_bulk(mdata, monkeypatch):
    """Every repetition pulls copies of regulators to bulk as it pulls the real ones."""
    whole, pulled = mdata.copy(), []
    arguments = {"starts": mdata.uns["starts"], "bulk": first_layers(mdata)}
    grn.tl.linger(whole, **arguments, **FIT | {"n_epochs": 1})
    place = nets._Batch._place_bulk

    def watched(self, position, weights, importance):
        place(self, position, weights, importance)
        if self.data.genes[self.genes[position]] not in self.data.regulators:
            wide = self.n_shared + len(self.rows[position])
            pulled.append((self.n_shared, np.any(weights != 0, axis=0)[:wide].all()))

    monkeypatch.setattr(nets._Batch, "_place_bulk", watched)
    grn.tl.confidence(whole, net="linger", n_permutations=1, n_subsamples=0, params=arguments)
    assert {size for size, _ in pulled} == {4, 8}
    assert all(every for _, every in pulled)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no archive", "array"], ids=str)
def test_a_bulk_file_that_is_none_is_refused(tmp_path, mdata, content):
    path = tmp_path / "bulk.npz"
    if content == "array":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    else:
        path.write_bytes(content)
    with pytest.raises(grn.errors.ParameterError, match="cannot be read as"):
        fitted(mdata, bulk=path)


def test_networks_of_other_cells_differ_under_one_bulk(planted):
    """The complaint about the original: strengths read from bulk are the same for all inputs."""
    layers, half = first_layers(planted), planted["rna"].obs_names[::2]
    first, second = fitted(planted, bulk=layers), fitted(planted[half].copy(), bulk=layers)
    pairs = [ordered(entry["edges"], "source", "target")["weight"].abs() for entry in (first, second)]
    one, other = pairs[0].align(pairs[1], join="inner")
    assert not np.allclose(one, other, rtol=0.05)


def test_features_of_bulk_that_are_no_regions_are_told_not_crashed_on(mdata, caplog):
    layers = {gene: table.assign(**{"peak one": 1.0, "RE17": 2.0}) for gene, table in first_layers(mdata).items()}
    found = fitted(mdata, bulk=layers)
    assert "2 inputs of bulk= are neither genes here nor regions" in caplog.text
    same_networks(found, fitted(mdata, bulk=first_layers(mdata)), rtol=0, atol=0)


def _moved(table):
    moved = {name: name.replace("chr", "chr1") for name in table if name.startswith("chr")}
    return table.rename(columns=moved)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"bulk": {}}, grn.errors.ParameterError, "without genes"),
        ({"bulk": {"GATA1": np.ones((64, 2))}}, grn.errors.ParameterError, "names no inputs"),
        ({"bulk": {"A": pd.DataFrame(np.ones((3, 2)), columns=["a", "b"])}}, grn.errors.ParameterError, r"\(64, 2\)"),
        ({"bulk": "nowhere.npz"}, grn.errors.ParameterError, "cannot be read"),
        ({"bulk": pd.DataFrame(np.ones((64, 2)))}, grn.errors.ParameterError, "bulk= is DataFrame;"),
        (
            {"bulk": {"NOBODY": pd.DataFrame(np.ones((64, 1)), columns=["chr1:1-9"])}},
            grn.errors.GeneOverlapError,
            "first layers of NOBODY, and of none of 14 targets",
        ),
        ({"bulk_penalty": "ewc"}, grn.errors.ParameterError, "not given"),
        ({"bulk_penalty": "l2"}, grn.errors.ParameterError, "dot"),
        ({"activation": "gelu"}, grn.errors.ParameterError, "relu"),
        ({"attribution": "shap"}, grn.errors.ParameterError, "expected_gradients"),
        ({"manifold": -1}, grn.errors.ParameterError, "manifold"),
        ({"window": -1}, grn.errors.ParameterError, "window"),
        ({"n_metacells": 0}, grn.errors.ParameterError, "n_metacells"),
        ({"cells_per_metacell": 0}, grn.errors.ParameterError, "cells_per_metacell"),
        ({"links": "nothing"}, grn.errors.ResultNotFoundError, "link_regions"),
        ({"links": pd.DataFrame({"a": [1]})}, grn.errors.RegionError, "region, gene"),
        ({"motifs": "other"}, grn.errors.ResultNotFoundError, "scan_motifs"),
        ({"starts": pd.DataFrame({"gene": ["GATA1"]})}, grn.errors.ParameterError, "starts"),
        ({"starts": "hg11"}, grn.errors.ParameterError, "hg38"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_and_nothing_is_changed(mdata, change, error, message):
    before = set(mdata.uns)
    with pytest.raises(error, match=message):
        grn.tl.linger(mdata, **{"starts": mdata.uns["starts"]} | change)
    assert set(mdata.uns) == before and not mdata["rna"].uns


def test_a_bulk_of_another_build_is_an_error(mdata):
    layers = {gene: _moved(table) for gene, table in first_layers(mdata).items()}
    with pytest.raises(grn.errors.RegionError, match="no region of bulk="):
        fitted(mdata, bulk=layers)


def test_distances_of_given_pairs_are_those_of_all_near_ones(mdata):
    near = fitted(mdata)["cis"].astype({"region": str, "target": str})
    pairs = near.rename(columns={"target": "gene"})[["region", "gene"]]
    given = fitted(mdata, links=pairs)["cis"].astype({"region": str, "target": str})
    keys = ["region", "target"]
    joined = near.merge(given, on=keys, suffixes=("", "_given"))
    assert len(joined) == len(near) and (joined["distance"] == joined["distance_given"]).all()


def test_pairs_on_two_chromosomes_are_told(mdata, caplog):
    starts = mdata.uns["starts"]
    first, second = starts.iloc[0], starts.iloc[-1]
    assert first["chrom"] != second["chrom"]
    region = mdata["atac"].var_names[mdata["atac"].var["chrom"] == first["chrom"]][0]
    links = pd.DataFrame({"region": region, "gene": [first["gene"], second["gene"]]})
    assert set(fitted(mdata, links=links)["cis"]["target"]) == {first["gene"]}
    assert "1 of 2 pairs have no start on the chromosome" in caplog.text
    with pytest.raises(grn.errors.GeneOverlapError, match="on one chromosome"):
        fitted(mdata, links=links.iloc[1:])


def test_links_by_group_are_pairs_once_and_unknown_distances_are_told(mdata, caplog):
    near = fitted(mdata)["cis"].astype({"region": str, "target": str}).rename(columns={"target": "gene"})
    pairs = near[["region", "gene"]]
    by_group = pd.concat([pairs.assign(group=name) for name in ("a", "b")])
    once = fitted(mdata, links=pairs, groupby="group")
    caplog.clear()
    same_networks(once, fitted(mdata, links=by_group, groupby="group"), rtol=0, atol=0)
    assert "have no start" not in caplog.text
    # a distance that is not known is none: it would count as that of the start itself
    gene, region = near.loc[0, ["gene", "region"]]
    lost = near.assign(distance=near["distance"].where((near["gene"] != gene) | (near["region"] != region)))
    cis = fitted(mdata, links=lost, groupby="group")["cis"].astype({"region": str, "target": str})
    assert f"1 of {len(near)} pairs have no start" in caplog.text
    assert cis["distance"].notna().all() and not ((cis["target"] == gene) & (cis["region"] == region)).any()


def test_expression_alone_is_refused(mdata):
    with pytest.raises(grn.errors.RegionError, match="MuData"):
        grn.tl.linger(mdata["rna"].copy())


def test_links_say_which_regions_a_gene_has(mdata):
    gene = mdata["rna"].var_names[-1]
    links = pd.DataFrame({"region": mdata["atac"].var_names[:3], "gene": gene, "distance": [0, 10, -5]})
    found = fitted(mdata, links=links, targets=[gene])
    assert sorted(found["cis"]["region"]) == sorted(links["region"])
    stored = mdata.copy()
    stored["atac"].uns["links"] = {"table": links.assign(score=1.0), "params": {}}
    same_networks(found, fitted(stored, links="links", targets=[gene]), rtol=0, atol=0)


def test_knockouts_are_predictions_with_an_expression_of_zero(mdata):
    whole = mdata.copy()
    arguments = FIT | {"cells_per_metacell": 1}
    grn.tl.linger(whole, starts=mdata.uns["starts"], keep_nets=True, activation="tanh", **arguments)
    change = grn.tl.linger_knockout(whole, genes=[mdata.uns["regulators"][0]])
    source, target = change.loc[0, ["source", "target"]]
    nets = whole.uns["linger"]["nets"]
    place = list(nets["genes"]).index(target)
    columns = nets["columns"][nets["bounds"][place] : nets["bounds"][place + 1]]
    sizes = [64 * n + 64 + 16 * 64 + 16 + 16 + 1 for n in np.diff(nets["bounds"])]
    parts = np.split(
        nets["weights"][sum(sizes[:place]) :][: sizes[place]], np.cumsum([64 * len(columns), 64, 1024, 16, 16])
    )
    W1, b1, W2, b2, W3, b3 = (torch.tensor(part) for part in parts)

    def output(inputs):
        first = torch.tanh(torch.tensor(inputs[:, columns]) @ W1.view(64, -1).T + b1)
        return (torch.tanh(first @ W2.view(16, 64).T + b2) @ W3 + b3).numpy()

    expression = np.asarray(grn._object.values.expression(whole["rna"]).rows(np.arange(150)))
    values = expression[:, whole["rna"].var_names.get_loc(source)]
    without = nets["inputs"].copy()
    without[:, list(nets["regulators"]).index(source)] = -values.mean() / values.std(ddof=1)
    expected = (output(without) - output(nets["inputs"])).mean()
    assert change.loc[0, "change"] == pytest.approx(expected, rel=1e-3)
    assert change["change"].abs().is_monotonic_decreasing
    with pytest.raises(grn.errors.GeneNameError, match="NOBODY of genes= are no regulators"):
        grn.tl.linger_knockout(whole, genes=["NOBODY"])
    with pytest.raises(grn.errors.GeneNameError, match="genes= is empty"):
        grn.tl.linger_knockout(whole, genes=[])


def test_knockouts_need_no_room_for_every_metacell(mdata, monkeypatch):
    whole = mdata.copy()
    grn.tl.linger(whole, starts=mdata.uns["starts"], keep_nets=True, **FIT)
    n_metacells = len(whole.uns["linger"]["nets"]["metacells"])
    sizes, zeros = [], np.zeros

    def watched(shape, *args, **options):
        sizes.append(int(np.prod(shape)))
        return zeros(shape, *args, **options)

    monkeypatch.setattr(np, "zeros", watched)
    change = grn.tl.linger_knockout(whole)
    assert len(change) and max(sizes) < len(change) * n_metacells / 2


def test_knockouts_need_networks(mdata):
    whole = mdata.copy()
    with pytest.raises(grn.errors.ResultNotFoundError, match="LINGER"):
        grn.tl.linger_knockout(whole)
    grn.tl.linger(whole, starts=mdata.uns["starts"], **FIT)
    with pytest.raises(grn.errors.ResultNotFoundError, match="keep_nets=True"):
        grn.tl.linger_knockout(whole)


def test_activity_is_that_of_the_stored_network_and_drivers_test_it(planted):
    whole = planted.copy()
    grn.tl.linger(whole, starts=planted.uns["starts"], groupby="group", **FIT)
    grn.tl.linger_activity(whole)
    scores = whole["rna"].obsm["linger_activity"]
    assert scores.shape == (planted.n_obs, 8) and np.isfinite(scores.to_numpy()).all()
    drivers = whole.uns["linger"]["drivers"].astype({"group": str, "source": str})
    labels = planted["rna"].obs["group"].astype(str)
    row = drivers.iloc[0]
    inside = scores.loc[labels == row["group"], row["source"]]
    assert row["activity"] == pytest.approx(inside.mean(), rel=1e-3)
    assert (drivers["qval"] >= drivers["pval"]).all()
    again = grn.tl.linger_activity(whole, copy=True)
    pd.testing.assert_frame_equal(again["rna"].obsm["linger_activity"], scores)


def test_near_cells_are_looked_for_in_one_copy_of_their_accessibility():
    random = np.random.default_rng(0)
    counts = sparse.csr_matrix(sparse.random_array((1500, 4000), density=0.1, rng=random, dtype=np.float32))
    names, groups = np.array([f"cell{i}" for i in range(1500)]), [("", np.arange(1500))]
    genes = random.random((1500, 3))
    tracemalloc.start()
    try:
        made = make_metacells(genes.__getitem__, counts, groups, names, genes.std(axis=0), size=5, number=20, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(made.names) == 20
    assert peak < 4 * (counts.data.nbytes + counts.indices.nbytes)


def test_regions_are_standardised_where_they_are_read():
    random = np.random.default_rng(2)
    values = (random.poisson(0.3, (40, 30)) * random.random((40, 30))).astype(np.float32)
    for parity in (False, True):
        read = Accessibility(sparse.csc_matrix(values), parity=parity)
        regions = np.array([7, 3, 29])
        expected = standardised(values, parity=parity)[:, regions]
        torch.testing.assert_close(read.columns(regions), expected, rtol=1e-6, atol=1e-6)


def test_batches_fit_into_the_memory_budget(mdata, monkeypatch):
    """Metacells x inputs count wherever a batch makes them."""
    sizes = {}
    monkeypatch.setattr(nets._Batch, "__init__", watched_batch(nets._Batch.__init__, sizes))
    for attribution in ("original", "expected_gradients"):
        with grn.settings.override(memory_budget=2**20):
            fitted(mdata, attribution=attribution, n_epochs=1)
    assert max(sizes["expected_gradients"]) < max(sizes["original"])


def watched_batch(make, sizes):
    def watched(self, data, setting, genes):
        sizes.setdefault(setting.attribution, []).append(len(genes))
        make(self, data, setting, genes)

    return watched


def test_expected_gradients_and_other_activations_run(mdata):
    for arguments in ({"attribution": "expected_gradients"}, {"activation": "tanh"}, {"activation": "sigmoid"}):
        assert len(fitted(mdata, **arguments)["edges"])


def test_confidence_compares_with_permuted_regulators(mdata):
    whole = mdata.copy()
    grn.tl.linger(whole, starts=mdata.uns["starts"], **FIT)
    params = {"starts": mdata.uns["starts"]}
    grn.tl.confidence(whole, net="linger", n_permutations=2, n_subsamples=0, params=params)
    edges = whole.uns["linger"]["edges"]
    assert edges["qval"].between(0, 1).all()
