"""Floors against loops over names: what training labels say, what a network says of itself, what cells say."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from grn.bench import Reference, floors, metrics, splits
from grn.bench._external_priors import coexpressed, motif_hits
from grn.bench._gene_families import family_means
from grn.bench._identity import keys
from grn.bench.negatives import sample
from grn.errors import ParameterError

NAMES = {"random", "target is a regulator", "out-degree", "in-degree", "degree", "look-up", "labels"}


class TestTransfer:
    @given(st.integers(0, 10**6), st.sampled_from(["human", "mouse"]), st.sampled_from(["human", "mouse"]))
    @settings(max_examples=30, deadline=None)
    def test_it_counts_over_families(self, build, seed, one, other):
        train, of_train = build.named(seed, one, 9)
        test, of_test = build.named(seed + 1, other, 9)
        edges = [(of_train[s], of_train[t]) for s, t in zip(train.edges["source"], train.edges["target"], strict=True)]
        found = floors.transfer(splits.split(train, test=test))
        assert set(found) == NAMES and {table.shape for table in found.values()} == {test.labels.shape}
        for i, source in enumerate(test.regulators.tolist()):
            for j, target in enumerate(test.genes.tolist()):
                a, b = of_test[source], of_test[target]
                out, into = sum(s == a for s, _ in edges), sum(t == b for _, t in edges)
                assert np.expm1(found["out-degree"][i, j]) == pytest.approx(out)
                assert np.expm1(found["in-degree"][i, j]) == pytest.approx(into)
                assert found["degree"][i, j] == pytest.approx(np.log1p(out) + np.log1p(into))
                assert found["look-up"][i, j] == float((a, b) in edges)
                assert found["target is a regulator"][i, j] == float(target in test.regulators)
        parts = found["degree"] + found["look-up"] + found["target is a regulator"]
        assert found["labels"] == pytest.approx(parts)

    def test_only_what_may_be_learned_counts(self, build):
        """Within one reference nothing of the tested half is known: changing its labels changes no floor."""
        whole = build.small(0, regulators=12, genes=60, density=0.3)
        made = splits.split(whole, by="pair", rng=1)
        other = whole.labels ^ (made.test_mask & (np.random.default_rng(0).random(whole.labels.shape) < 0.3))
        changed = build.from_grid(other, whole.regulators, whole.genes)
        again = splits.split(changed, by="pair", rng=1)
        assert (again.test_mask == made.test_mask).all() and (other != whole.labels).any()
        one, two = floors.transfer(made), floors.transfer(again)
        assert all((one[name] == two[name]).all() for name in NAMES)

    def test_strangers_have_no_degree(self, build):
        train = Reference(build.table([("GATA1", "HBB")]))
        found = floors.transfer(splits.split(train, test=Reference(build.table([("SPI1", "CD14")]))))
        assert all((found[name] == 0).all() for name in ("out-degree", "in-degree", "degree", "look-up"))

    def test_names_across_organisms(self, build):
        train = Reference(build.table([("TP53", "CDKN1A"), ("TP53", "MDM2")]))
        test = Reference(build.table([("Trp53", "Cdkn1a"), ("Myc", "Cdkn1a")]), organism="mouse")
        found = floors.transfer(splits.split(train, test=test))
        row, column = test.regulators.tolist().index("Trp53"), test.genes.tolist().index("Cdkn1a")
        assert found["look-up"][row, column] == found["look-up"].sum() == 1
        assert np.expm1(found["out-degree"][row, 0]) == pytest.approx(2)
        letters = floors.transfer(splits.split(train, test=test, match="symbol"))
        assert letters["look-up"].sum() == 0 and letters["in-degree"].max() > 0

    def test_random_is_what_ties_expect(self, build):
        """Metrics are exact under ties, so a constant gives the mean over all random scores."""
        made = splits.split(build.small(0), by="pair")
        constant = floors.transfer(made)["random"]
        assert np.ptp(constant) == 0
        drawn = sample(made.test, mask=made.test_mask)
        lots = [metrics.auprc(drawn.labels, np.random.default_rng(i).random(len(drawn))) for i in range(400)]
        expected = metrics.auprc(drawn.labels, drawn.take(constant))
        assert np.mean(lots) == pytest.approx(expected, abs=4 * np.std(lots) / 20)

    def test_bad_input(self, build):
        with pytest.raises(ParameterError, match="got a Reference; pass what"):
            floors.transfer(build.small(0))


class TestOwnDegree:
    def test_a_pair_is_scored_by_the_other_half(self, build):
        """A regulator has two scores, one per half, and together they are its degree; so has a target."""
        reference = build.small(0, regulators=30, genes=80, density=0.3)
        found = floors.own_degree(reference, rng=3)
        out = np.expm1(found["own out-degree"]).round().astype(int)
        into = np.expm1(found["own degree"] - found["own out-degree"]).round().astype(int)
        for degrees, counts in ((out, reference.labels.sum(axis=1)), (into.T, reference.labels.sum(axis=0))):
            for row, degree in zip(degrees, counts, strict=True):
                values = np.unique(row)
                assert values.sum() == degree if len(values) == 2 else 2 * values[0] == degree

    def test_its_own_label_enters_no_score(self, build):
        reference = build.small(1, regulators=6, genes=12, density=0.4, bare=0)
        mask = splits.own_pairs(reference)
        before = floors.own_degree(reference, mask=mask, rng=2)
        moved = 0
        for row, column in zip(*np.nonzero(mask), strict=True):
            labels = reference.labels.copy()
            labels[row, column] ^= True
            after = floors.own_degree(build.from_grid(labels, reference.regulators, reference.genes), mask=mask, rng=2)
            for name in before:
                assert after[name][row, column] == before[name][row, column]
                moved += (after[name] != before[name]).sum()
        assert moved > 0

    def test_edges_outside_the_mask_are_unknown(self, build):
        reference = build.small(1)
        mask = splits.own_pairs(reference) & (np.arange(40) < 20)
        shown = build.from_grid(reference.labels & mask, reference.regulators, reference.genes)
        one, other = (floors.own_degree(r, mask=mask, rng=1) for r in (reference, shown))
        assert all((one[name] == other[name]).all() for name in one)

    def test_bad_input(self, build):
        reference = build.small(0)
        with pytest.raises(ParameterError, match="rng=-1"):
            floors.own_degree(reference, rng=-1)
        with pytest.raises(ParameterError, match=r"mask has shape \(2, 2\)"):
            floors.own_degree(reference, mask=np.ones((2, 2), dtype=bool))


def with_cells(build, X, measured, **reference):
    cells = ad.AnnData(X, var=pd.DataFrame(index=measured))
    edges = [("A", "B"), ("C", "D"), ("E", "A")]
    return Reference(build.table(edges), genes=list("ABCDEF"), expression=cells, **reference)


class TestExpression:
    @pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix, lambda X: X.astype(np.float32)])
    def test_it_is_numpy(self, build, make):
        random = np.random.default_rng(0)
        X = random.poisson(2.0, (50, 6)).astype(float)
        order = list("FBDACE")
        found = floors.expression(with_cells(build, make(X), order))
        table = pd.DataFrame(X, columns=order)[list("ABCDEF")].to_numpy()
        rows = [0, 2, 4]
        assert found["|correlation|"] == pytest.approx(np.abs(np.corrcoef(table.T))[rows], abs=1e-6)
        mean = table.mean(axis=0)
        assert found["mean expression"] == pytest.approx(mean[rows][:, None] + mean[None, :], rel=1e-6)

    @pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 1e6 + 0.1])
    def test_genes_that_never_vary_correlate_with_nothing(self, build, value):
        X = np.random.default_rng(1).random((30, 6))
        X[:, [0, 1, 2]] = value, value, 0.1
        found = floors.expression(with_cells(build, X, list("ABCDEF")))["|correlation|"]
        assert (found[0] == 0).all() and (found[1] == 0).all() and (found[:, :3] == 0).all()
        assert found[2, 3] == pytest.approx(abs(np.corrcoef(X[:, 4], X[:, 3])[0, 1]))

    def test_genes_without_cells_are_unknown(self, build):
        X = np.random.default_rng(2).random((20, 5))
        found = floors.expression(with_cells(build, X, ["A", "B", "E", "F", "elsewhere"]))
        unknown = np.zeros((3, 6), dtype=bool)
        unknown[1], unknown[:, [2, 3]] = True, True
        for table in found.values():
            assert (np.isnan(table) == unknown).all()
        assert found["|correlation|"][0, 1] == pytest.approx(abs(np.corrcoef(X[:, 0], X[:, 1])[0, 1]))

    def test_too_few_cells_or_none(self, build):
        assert floors.expression(with_cells(build, np.ones((2, 6)), list("ABCDEF"))) == {}
        assert floors.expression(build.small(0)) == {}

    def test_cells_of_other_genes(self, build):
        found = floors.expression(with_cells(build, np.random.default_rng(0).random((9, 1)), ["elsewhere"]))
        assert all(np.isnan(table).all() for table in found.values())


class TestPrior:
    @given(st.integers(0, 10**6), st.sampled_from(["human", "mouse"]), st.sampled_from(["human", "mouse"]))
    @settings(max_examples=20, deadline=None)
    def test_it_is_a_look_up_by_family(self, build, seed, one, other):
        known, of_known = build.named(seed, one, 9)
        test, of_test = build.named(seed + 1, other, 9)
        edges = known.edges["source"].to_numpy(dtype=str), known.edges["target"].to_numpy(dtype=str)
        pairs = {(of_known[s], of_known[t]) for s, t in zip(*edges, strict=True)}
        found = floors.prior(test, edges, one)
        expected = [[(of_test[s], of_test[t]) in pairs for t in test.genes.tolist()] for s in test.regulators.tolist()]
        assert (found == np.array(expected, dtype=float)).all()

    def test_bad_input(self, build):
        with pytest.raises(ParameterError, match="fly"):
            floors.prior(build.small(0), (np.array(["A"]), np.array(["B"])), "fly")
        with pytest.raises(ParameterError, match="2 sources but 1 targets"):
            floors.prior(build.small(0), (np.array(["A", "B"]), np.array(["B"])), "human")


class TestFamilies:
    def test_paralogues_of_either_organism_are_told(self, build):
        human = Reference(build.table([("GATA1", "GATA2"), ("HOXA1", "HOXB4"), ("GATA1", "HBB")]))
        mouse = Reference(build.table([("Gata1", "Gata2"), ("Hoxa1", "Hoxb4"), ("Gata1", "Hbb-bs")]), organism="mouse")
        for reference, pairs in ((human, [("GATA1", "GATA2"), ("HOXA1", "HOXB4")]), (mouse, [("Gata1", "Gata2")])):
            told = floors.same_family(reference)
            for source, target in pairs:
                row, column = reference.regulators.tolist().index(source), reference.genes.tolist().index(target)
                assert told[row, column] == 1
        assert floors.same_family(human).tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 1, 1]]

    def test_means_over_families_are_those_of_a_loop(self):
        random = np.random.default_rng(0)
        labels = np.array(["a", "b", "a", "c", "b", "d"])
        values = random.normal(size=(6, 6))
        values[[0, 3], [5, 4]] = np.nan
        np.fill_diagonal(values, np.nan)
        means = family_means(values, labels)
        for i in range(6):
            for j in range(6):
                block = values[np.ix_(labels == labels[i], labels == labels[j])]
                known = block[np.isfinite(block)]
                assert np.isnan(means[i, j]) if not len(known) else means[i, j] == pytest.approx(known.mean())
        order = random.permutation(6)
        again = family_means(values[np.ix_(order, order)], labels[order])
        assert np.allclose(again, means[np.ix_(order, order)], equal_nan=True)


class TestFilesOfOthers:
    """Bulk co-expression and promoters, in files of the published form."""

    GENES = ("CD14", "GATA1", "HBB", "SPI1", "TAL1")

    @pytest.fixture
    def reference(self, build):
        return Reference(build.table([("GATA1", "HBB"), ("SPI1", "CD14"), ("TAL1", "HBB")]))

    def lists(self, folder, rows):
        table = pd.DataFrame(rows, columns=["source", "target", "rank", "r"])
        table = table.astype({"source": "category", "target": "category", "rank": "Int16", "r": "float32"})
        table.sample(frac=1, random_state=0).to_parquet(folder / "lists.parquet")
        return folder / "lists.parquet"

    def test_the_place_in_a_list_counts(self, tmp_path, reference):
        rows = [("GATA1", "HBB", 1, 0.3), ("GATA1", "CD14", 151, 0.1), ("SPI1", "CD14", None, -0.9)]
        rows += [("SPI1", "HBB", None, 0.5), ("SPI1", "elsewhere", None, 0.7), ("HBB", "CD14", 1, 0.9)]
        scores = coexpressed(reference, files={self.lists(tmp_path, rows): "1"})
        assert reference.genes.tolist() == list(self.GENES)
        gata, spi, tal = scores
        assert gata[[2, 0]] == pytest.approx([1.0, 0.5]) and gata[[1, 3, 4]].tolist() == [0, 0, 0]
        assert spi[[0, 2]] == pytest.approx([1.0, 1 - 2 / 300]), "by size where there is no rank"
        assert (tal == 0).all()

    def test_several_archives_are_averaged(self, tmp_path, reference):
        one, two = tmp_path / "1", tmp_path / "2"
        one.mkdir(), two.mkdir()
        files = {self.lists(one, [("GATA1", "HBB", 1, 0.1)]): "a", self.lists(two, [("GATA1", "CD14", 1, 0.1)]): "b"}
        assert coexpressed(reference, files=files)[0].tolist() == [0.5, 0, 0.5, 0, 0]

    def test_motif_hits_lose_what_regulators_and_genes_have_in_all_pairs(self, tmp_path, reference):
        table = pd.DataFrame({"peak_id": list("abcde"), "gene_short_name": ["Hbb-bs", "Cd14", "Cd14", "Spi1", "Gata1"]})
        table["Gata1"], table["Spi1"], table["Nobody"] = [1.0, 0, 1, 0, 1], [0.0, 1, 1, 0, 1], 1.0
        for i, rows in enumerate((table, table.iloc[::-1, [0, 1, 3, 2, 4]])):
            rows.to_parquet(tmp_path / f"{i}.parquet")
        scores, again = (motif_hits(reference, file=tmp_path / f"{i}.parquet") for i in range(2))
        genes = keys(reference.genes, organism="human")
        of = dict(zip(genes, range(5), strict=True))
        known = [of[key] for key in keys(["Hbb-bs", "Cd14", "Spi1", "Gata1"], organism="mouse") if key in of]
        shares = np.array([[1, 0.5, 0, 1], [0, 1, 0, 1]])[:, -len(known) :]
        centred = shares - shares.mean(axis=1, keepdims=True)
        centred = centred - centred.mean(axis=0)
        assert np.allclose(scores[:2][:, known], centred) and np.allclose(scores, again)
        assert (scores[2] == 0).all() and scores[:, of["TAL1"]].tolist() == [0, 0, 0], "nothing known is the mean"
