"""What labels alone give away: the commands on small references, and the published table on the real ones."""

import numpy as np
import pytest

import grn
from grn.bench import _labels_only, audit, splits
from grn.errors import DataNotFoundError, ParameterError

SETS = ("hESC", "hHEP", "mESC")
WITHIN = ["uniform", "natural density", "any two genes", "configuration", "degree_matched"]


@pytest.fixture
def small_sets(build, monkeypatch):
    """Three small data sets in place of BEELINE's; the second has the labels of the first."""
    made = {name: build.hubs(i, regulators=20, genes=80, edges=300, dataset=name) for i, name in enumerate(SETS)}
    made["hHEP"] = build.hubs(0, regulators=20, genes=80, edges=300, dataset="hHEP")

    def load(dataset, *, network, size, path):
        assert network in ("STRING", "Specific") and size == 500 and path == "here"
        return made[dataset]

    monkeypatch.setattr(_labels_only, "beeline", load)
    monkeypatch.setattr(_labels_only, "BEELINE", SETS)
    monkeypatch.setattr(_labels_only, "_NETWORKS", ("STRING", "Specific"))
    return made


def test_floors_by_task_negatives_set_and_network(small_sets):
    found = grn.bench.label_floors(seeds=2, path="here")
    counts = found.groupby(["task", "negatives"]).size()
    assert counts.to_dict() == {
        **{("within", kind): 2 * len(SETS) * 2 for kind in WITHIN},
        ("transfer", "uniform"): 4 * (len(SETS) - 1) * 2,
    }
    assert not found[["value", "prevalence"]].isna().any(axis=None) and found["value"].between(0, 1).all()
    assert set(found.query("task == 'transfer'")["test"]) == {"hHEP", "mESC"}
    even = found[~found["negatives"].isin(["natural density"])]
    assert even["prevalence"].to_numpy() == pytest.approx(0.5, abs=0.01)
    assert (found.query("negatives == 'natural density'")["prevalence"] < 0.35).all()
    partners = found["negatives"].isin(["configuration", "degree_matched"])
    assert (found["edges_with_partner"].notna() == partners).all()
    mean = found.groupby(["task", "negatives", "floor"])["value"].mean()
    assert mean["within", "uniform", "out-degree + in-degree"] > 0.7
    assert (
        mean["within", "any two genes", "out-degree + in-degree"] > mean["within", "uniform", "out-degree + in-degree"]
    )
    assert mean["within", "degree_matched", "out-degree + in-degree"] == pytest.approx(0.5, abs=0.08)


def test_the_same_labels_are_looked_up(small_sets):
    found = grn.bench.label_floors(seeds=1, path="here").query("floor == 'look-up'")
    assert (found.query("test == 'hHEP'")["value"] == 1).all()
    assert (found.query("test == 'mESC'")["value"] < 0.75).all()


def test_seeds_are_averaged(small_sets):
    both, one, two = (
        grn.bench.label_floors(seeds=n, rng=rng, path="here")["value"].to_numpy() for n, rng in ((2, 3), (1, 3), (1, 4))
    )
    assert both == pytest.approx((one + two) / 2) and (one != two).any()


def test_leakage_is_the_audit_of_every_pair(small_sets):
    found = grn.bench.leakage(path="here")
    assert found[["train", "test", "network"]].values.tolist() == [
        ["hESC", name, network] for network in ("STRING", "Specific") for name in ("hHEP", "mESC")
    ]
    made = splits.split(small_sets["hESC"], test=small_sets["mESC"], match="symbol")
    row = found.query("test == 'mESC'").iloc[0][list(audit.audit(made).to_dict())].to_dict()
    assert row == pytest.approx(audit.audit(made).to_dict())
    assert (found.query("test == 'hHEP'")["label_agreement"] == 1).all()


def test_bad_input(small_sets):
    for seeds in (0, -1, True, 1.5, "3"):
        with pytest.raises(ParameterError, match=r"seeds=.*positive integer"):
            grn.bench.label_floors(seeds=seeds, path="here")
    with pytest.raises(ParameterError, match="rng=-1"):
        grn.bench.label_floors(rng=-1, path="here")
    with pytest.raises(ParameterError, match="match='letters'"):
        grn.bench.leakage(match="letters", path="here")


def test_without_data(tmp_path):
    for command in (grn.bench.leakage, grn.bench.label_floors):
        with pytest.raises(DataNotFoundError):
            command(path=tmp_path / "nowhere")


@pytest.fixture(scope="module")
def measured(shared_dir):
    """Floors of the real labels, three seeds."""
    return grn.bench.label_floors(path=shared_dir / "data" / "beeline")


# STRING, non-specific, specific; mean over the six sets that are not hESC, or over all seven
TRANSFER = {
    "target is a regulator": (0.627, 0.598, 0.509),
    "look-up": (0.633, 0.565, 0.507),
    "degree": (0.699, 0.651, 0.568),
    "labels": (0.731, 0.680, 0.569),
}
SIX = {
    ("uniform", "out-degree"): (0.766, 0.841, 0.979),
    ("uniform", "out-degree + in-degree"): (0.885, 0.890, 0.986),
    ("natural density", "out-degree + in-degree"): (0.208, 0.134, 0.747),
}
SEVEN = {
    ("any two genes", "out-degree + in-degree"): (0.947, 0.954, 0.996),
    ("configuration", "out-degree + in-degree"): (0.550, 0.505, 0.709),
}
NETWORKS = ["STRING", "Non-Specific", "Specific"]


def means(table, **chosen):
    for column, value in chosen.items():
        table = table[table[column] == value]
    assert table["test"].nunique() == len(table) / 3
    return table.groupby("network")["value"].mean()[NETWORKS].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("floor", "expected"), TRANSFER.items())
def test_transfer_from_hesc(measured, floor, expected):
    assert means(measured, task="transfer", floor=floor) == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "expected"), {**SIX, **SEVEN}.items())
def test_degrees_within_a_data_set(measured, asked, expected):
    table = measured[measured["test"] != "hESC"] if asked in SIX else measured
    found = means(table, task="within", negatives=asked[0], floor=asked[1])
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
def test_exactly_matched_degrees_tell_next_to_nothing(measured):
    found = means(measured, task="within", negatives="degree_matched", floor="out-degree")
    assert found == pytest.approx([0.5] * 3, abs=0.01)
    found = means(measured, task="within", negatives="degree_matched", floor="out-degree + in-degree")
    assert found == pytest.approx([0.5] * 3, abs=0.05)


# genes, regulators, positives of STRING and of non-specific, same label in each network
SHARED = {
    "hHEP": (0.28, 0.44, (0.22, 0.18), (1.00, 1.00, 0.25)),
    "mDC": (0.14, 0.31, (0.10, None), (0.98, 0.40, 0.04)),
    "mESC": (0.20, 0.31, (0.12, None), (0.91, 0.33, 0.17)),
    "mHSC-E": (0.14, 0.30, (0.14, None), (0.95, 0.43, 0.01)),
    "mHSC-GM": (0.12, 0.39, (0.15, None), (0.96, 0.54, 0.00)),
    "mHSC-L": (0.09, 0.37, (0.17, None), (0.97, 0.29, 0.00)),
}


@pytest.mark.slow
def test_leakage_of_the_real_labels(shared_dir):
    found = grn.bench.leakage(path=shared_dir / "data" / "beeline").set_index(["test", "network"])
    for name, (genes, regulators, positives, agreement) in SHARED.items():
        rows = found.loc[name].loc[NETWORKS]
        assert rows["shared_genes"].to_numpy() == pytest.approx([genes] * 3, abs=0.02)
        assert rows["shared_regulators"].to_numpy() == pytest.approx([regulators] * 3, abs=0.02)
        for value, expected in zip(rows["shared_pairs"], positives, strict=False):
            assert expected is None or value == pytest.approx(expected, abs=0.02)
        assert rows["label_agreement"].to_numpy() == pytest.approx(agreement, abs=0.02)
    assert (found.xs("STRING", level="network")["reciprocal"] == 1).all(), "every edge between regulators, both ways"
    evidence = found.xs("Specific", level="network")["evidence"]
    assert evidence.between(0.06, 0.27).all(), "most listed regulators have no ChIP data in the cell type"


@pytest.mark.slow
def test_the_lineages_of_mhsc_are_one_test(shared_dir):
    folder = shared_dir / "data" / "beeline"
    sets = {name: grn.datasets.beeline(name, network="STRING", path=folder) for name in ("mHSC-E", "mHSC-GM", "mHSC-L")}
    found = audit.compare(sets, match="symbol").to_numpy()
    largest = np.maximum(found, found.T)[np.triu_indices(3, 1)]
    assert (largest > 0.55).all() and (largest < 0.8).all()
