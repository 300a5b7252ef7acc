"""The corpus floor against closed forms, in any order, from files good and bad."""

import logging
from itertools import combinations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn._core import sealed
from grn.bench import _corpus
from grn.bench._corpus import build, cells
from grn.bench._corpus_pool import LARGEST_R
from grn.bench._corpus_sets import training_sets
from grn.errors import DataNotFoundError, ExpressionError, GeneNameError, GeneOverlapError, ParameterError

GENES = ["GATA1", "SPI1", "TAL1", "KLF1", "CEBPA", "RUNX1", "MYB", "IRF8"]
FIRST, SECOND = GENES[:6], GENES[1:]  # what each of the two sets lists
MOUSE = {"Gata1": "GATA1", "Spi1": "SPI1", "Tal1": "TAL1", "Klf1": "KLF1", "Cebpa": "CEBPA", "Myc": "MYC"}


def counts(genes: list[str], n_cells: int, seed: int, organism: str = "human") -> ad.AnnData:
    """Counts in which all genes are detected and follow two shared factors."""
    random = np.random.default_rng(seed)
    factors = random.normal(size=(n_cells, 2)) @ random.normal(size=(2, len(genes)))
    X = sparse.csr_matrix(random.poisson(np.exp(2 + 0.5 * factors)).astype(np.float32))
    found = ad.AnnData(X, uns={"organism": organism})
    found.var_names, found.obs_names = genes, [f"c{i}" for i in range(n_cells)]
    return found


def write(folder, **sets: ad.AnnData):
    (folder / "expression").mkdir(parents=True, exist_ok=True)
    for name, adata in sets.items():
        adata.write_h5ad(folder / "expression" / f"{name}.h5ad")
    return folder


def normalised(adata: ad.AnnData) -> np.ndarray:
    X = adata.X.toarray().astype(float)
    return np.log1p(X / X.sum(axis=1, keepdims=True) * 1e4)


def by_hand(X: np.ndarray) -> np.ndarray:
    """The table of one set: effects by a least-squares fit on the pairs themselves."""
    n = X.shape[1]
    pairs = list(combinations(range(n), 2))
    z = np.array([np.arctanh(min(abs(np.corrcoef(X[:, i], X[:, j])[0, 1]), LARGEST_R)) for i, j in pairs])
    design = np.array([[1.0] + [float(k in pair) for k in range(n)] for pair in pairs])
    rest = z - design @ np.linalg.lstsq(design, z, rcond=None)[0]
    rest = rest / np.sqrt(np.mean(rest**2))
    table = np.full((n, n), np.nan)
    for (i, j), value in zip(pairs, rest, strict=True):
        table[i, j] = table[j, i] = value
    return table


@pytest.fixture
def two(tmp_path):
    return {"a": counts(FIRST, 40, 1), "b": counts(SECOND, 50, 2)}, tmp_path


def expected(sets: dict[str, ad.AnnData], genes: list[str]) -> np.ndarray:
    tables = []
    for adata in sets.values():
        table = pd.DataFrame(by_hand(normalised(adata)), index=adata.var_names, columns=adata.var_names)
        tables.append(table.reindex(index=genes, columns=genes).to_numpy())
    with np.errstate(invalid="ignore"):
        known = np.isfinite(tables).sum(axis=0)
        return np.where(known > 0, np.nansum(tables, axis=0) / np.maximum(known, 1), np.nan)


class TestBuild:
    def test_agrees_with_the_definition(self, two):
        sets, folder = two
        corpus = build(GENES, names=["a", "b"], path=write(folder, **sets))
        assert corpus.genes.tolist() == sorted(GENES) and corpus.sets == ("a", "b")
        found = corpus.pairs(GENES, GENES)
        assert found.dtype == np.float32 and np.array_equal(found, found.T, equal_nan=True)
        assert np.allclose(found, expected(sets, GENES), atol=2e-5, equal_nan=True)
        assert np.isnan(corpus.pairs(["GATA1"], ["IRF8"])), "no set lists both"
        assert dict(zip(corpus.genes, corpus.n_sets, strict=True)) == {g: (g in FIRST) + (g in SECOND) for g in GENES}

    def test_pairs_of_any_shape_and_unknown_names(self, two):
        sets, folder = two
        corpus = build(GENES, names=["a", "b"], path=write(folder, **sets))
        whole = corpus.pairs(GENES, GENES)
        part = corpus.pairs(["MYB", "nobody", "", "SPI1"], ["TAL1", "nobody", "MYB"])
        assert np.isnan(part[1:3]).all() and np.isnan(part[:, 1]).all() and np.isnan(part[0, 2])
        assert part[3, 0] == whole[1, 2] and part[0, 0] == whole[6, 2]
        assert corpus.pairs([], GENES).shape == (0, 8)
        with pytest.raises(ParameterError, match="'SPI1' is a single string"):
            corpus.pairs("SPI1", GENES)
        with pytest.raises(ValueError, match="read-only"):
            corpus.coexpression[0, 1] = 0

    def test_mean_is_over_the_sets_that_list_a_gene(self, two):
        sets, folder = two
        corpus = build([*GENES, "TP53"], names=["a", "b"], path=write(folder, **sets))
        means = [pd.Series(normalised(s).mean(axis=0), index=s.var_names) for s in sets.values()]
        wanted = pd.concat(means, axis=1).mean(axis=1)
        assert np.allclose(corpus.mean(GENES), wanted[GENES])
        assert np.isnan(corpus.mean(["TP53", "nobody"])).all()
        with pytest.raises(ParameterError, match="single string"):
            corpus.mean("TP53")

    def test_order_of_genes_cells_names_and_columns_changes_nothing(self, two):
        sets, folder = two
        random = np.random.default_rng(0)
        shuffled = {n: s[random.permutation(s.n_obs), random.permutation(s.n_vars)].copy() for n, s in sets.items()}
        one = build(GENES, names=["a", "b"], path=write(folder / "1", **sets))
        other = build([*GENES[::-1], "SPI1"], names=["b", "a", "b"], path=write(folder / "2", **shuffled))
        for table in ("genes", "coexpression", "expression", "n_sets"):
            assert np.array_equal(getattr(one, table), getattr(other, table), equal_nan=table.startswith(("c", "e")))

    def test_values_on_a_log_scale_are_taken_as_they_are(self, two):
        sets, folder = two
        logged = sets["a"].copy()
        logged.X = normalised(sets["a"])
        linear = sets["a"].copy()
        linear.X = np.expm1(normalised(sets["a"])) * 100
        found = build(FIRST, names=["c"], path=write(folder, c=sets["a"])).coexpression
        for adata in (logged, linear):
            again = build(FIRST, names=["c"], path=write(folder, c=adata)).coexpression
            assert np.allclose(found, again, atol=2e-5, equal_nan=True)

    def test_counts_are_normalised_over_all_genes_of_the_file(self, two):
        sets, folder = two
        few = ["GATA1", "SPI1", "TAL1", "KLF1"]
        X = pd.DataFrame(normalised(sets["a"]), columns=FIRST)[few].to_numpy()
        found = build(few, names=["a"], path=write(folder, **sets)).pairs(few, few)
        assert np.allclose(found, by_hand(X), atol=2e-5, equal_nan=True)

    def test_rare_and_constant_genes_are_not_correlated(self, two):
        sets, folder = two
        X = np.log1p(sets["b"].X.toarray())
        X[9:, 0] = 0  # detected in nine cells
        X[:, 1] = 1.5
        sets["b"].X = X
        corpus = build(SECOND, names=["b"], path=write(folder, b=sets["b"]))
        used = SECOND[2:]
        assert corpus.n_sets.tolist() == [int(g in used) for g in corpus.genes]
        assert np.isnan(corpus.pairs(SECOND[:2], SECOND)).all()
        assert np.allclose(corpus.pairs(used, used), by_hand(X[:, 2:]), atol=2e-5, equal_nan=True)
        X[9, 0] = 1.0
        sets["b"].X = X
        assert build(SECOND, names=["b"], path=write(folder, b=sets["b"])).n_sets.sum() == 6, "ten cells do"

    def test_one_percent_of_many_cells(self, tmp_path):
        adata = counts(GENES, 1200, 5)
        X = adata.X.toarray()
        X[11:, 0] = 0
        X[12:, 1] = 0
        adata.X = np.maximum(X, [0, 0, 1, 1, 1, 1, 1, 1])
        adata.X[:12, :2] = 3
        adata.X[11, 0] = 0
        corpus = build(GENES, names=["a"], path=write(tmp_path, a=adata))
        assert dict(zip(corpus.genes, corpus.n_sets, strict=True)) == {g: int(g != "GATA1") for g in GENES}

    def test_a_set_of_too_few_cells_adds_nothing(self, two):
        sets, folder = two
        path = write(folder, **sets, small=sets["a"][:9].copy())
        one, more = (build(GENES, names=names, path=path) for names in (["a"], ["a", "small"]))
        assert np.array_equal(one.coexpression, more.coexpression, equal_nan=True)
        assert np.array_equal(one.n_sets, more.n_sets) and one.sha256 != more.sha256

    def test_mouse_genes_enter_under_their_human_ortholog(self, tmp_path):
        adata = counts(list(MOUSE), 40, 3, "mouse")
        path = write(tmp_path, m=adata)
        human = [*MOUSE.values()]
        found = build(human, names=["m"], path=path).pairs(human, human)
        assert np.allclose(found, by_hand(normalised(adata)), atol=2e-5, equal_nan=True)
        with pytest.raises(GeneOverlapError, match=r"none of the 2 genes"):
            build(["Gata1", "Spi1"], names=["m"], path=path)

    def test_the_organism_is_told_from_the_names_when_the_file_does_not_say(self, tmp_path):
        adata = counts(list(MOUSE), 40, 3)
        del adata.uns["organism"]
        assert build(MOUSE.values(), names=["m"], path=write(tmp_path, m=adata)).n_sets.sum() == 6
        adata.var_names = [f"x{i}" for i in range(6)]
        with pytest.raises(GeneNameError, match="neither human nor mouse"):
            build(MOUSE.values(), names=["m"], path=write(tmp_path, m=adata))

    def test_planted_pairs_score_high(self, tmp_path):
        adata = grn.datasets.toy(n_cells=400, n_regulators=6, n_targets=20)
        truth = adata.uns["truth"]
        del adata.uns["truth"]
        corpus = build(adata.var_names, names=["toy"], path=write(tmp_path, toy=adata))
        regulators = sorted(set(truth["source"]))
        targets = sorted(set(truth["target"]))
        found = pd.DataFrame(corpus.pairs(regulators, targets), index=regulators, columns=targets)
        planted = np.array([found.loc[s, t] for s, t in zip(truth["source"], truth["target"], strict=True)])
        assert planted.mean() > found.to_numpy().mean() + 0.5


def profiles(folder, **files: ad.AnnData):
    (folder / "profiles").mkdir(parents=True, exist_ok=True)
    for name, adata in files.items():
        adata.write_h5ad(folder / "profiles" / f"{name}.h5ad")
    return folder


class TestProfiles:
    @pytest.fixture
    def body(self):
        """Seven tissues, fewer than a data set of cells needs; some genes in one tissue only."""
        adata = counts(GENES[1:7], 7, 9)
        adata.X = adata.X.toarray() * 1000.0
        adata.X[1:, 5] = 0.0
        adata.uns["matrix"] = "TPM (linear)"
        return adata

    @staticmethod
    def scaled(adata):
        X = np.asarray(adata.X, dtype=float)
        return np.log2(1 + X / X.sum(axis=1, keepdims=True) * 1e6)

    def test_profiles_count_four_times(self, two, body):
        sets, folder = two
        path = profiles(write(folder, **sets), body=body)
        corpus = build(GENES, names=["a", "b", "body"], path=path)
        tables = [by_hand(normalised(adata)) for adata in sets.values()] + [by_hand(self.scaled(body))]
        tables = [
            pd.DataFrame(t, index=listed, columns=listed).reindex(index=GENES, columns=GENES).to_numpy()
            for t, listed in zip(tables, (FIRST, SECOND, GENES[1:7]), strict=True)
        ]
        weights = np.array([1, 1, 4])[:, None, None] * np.isfinite(tables)
        with np.errstate(invalid="ignore"):
            wanted = np.nansum(tables * weights, axis=0) / weights.sum(axis=0)
        off = ~np.eye(len(GENES), dtype=bool)
        found = corpus.pairs(GENES, GENES)
        assert np.allclose(found[off], wanted[off], atol=5e-5, equal_nan=True)
        assert corpus.n_sets.max() == 3, "a gene of one tissue only is used"

    def test_logarithms_are_told_by_the_file(self, two, body):
        _, folder = two
        logged = body.copy()
        logged.X, logged.uns["matrix"] = self.scaled(body), "log2 (CPM+1)"
        assert logged.X.max() > 15, "values that would be taken for counts or linear ones in cells"
        path = profiles(folder, body=body, logged=logged)
        one, other = (build(GENES, names=[name], path=path).coexpression for name in ("body", "logged"))
        assert np.isfinite(one).sum() == 30 and np.allclose(one, other, atol=1e-4, equal_nan=True)

    def test_no_cell_is_drawn_from_them_and_mean_expression_is_that_of_cells(self, two, body):
        sets, folder = two
        path = profiles(write(folder, **sets), body=body)
        assert set(cells(GENES, names=["a", "body"], path=path).obs["set"]) == {"a"}
        alone, both = (build(GENES, names=names, path=path) for names in (["a", "b"], ["a", "b", "body"]))
        assert np.array_equal(alone.expression, both.expression)
        with pytest.raises(DataNotFoundError, match="profiles"):
            cells(GENES, names=["body"], path=path)

    def test_order_of_profiles_and_genes_changes_nothing(self, two, body):
        _, folder = two
        random = np.random.default_rng(4)
        mixed = body[random.permutation(7), random.permutation(6)].copy()
        one, other = (
            build(GENES, names=["body"], path=profiles(folder / str(i), body=adata)).coexpression
            for i, adata in enumerate((body, mixed))
        )
        assert np.allclose(one, other, atol=1e-5, equal_nan=True)

    def test_other_values_are_another_result(self, two, body):
        _, folder = two
        first = build(GENES, names=["body"], path=profiles(folder, body=body), cache=folder / "cache")
        body.X[0, 0] *= 3
        again = build(GENES, names=["body"], path=profiles(folder, body=body), cache=folder / "cache")
        assert first.sha256 != again.sha256
        assert not np.array_equal(first.coexpression, again.coexpression, equal_nan=True)


def test_an_approved_symbol_outranks_an_alias_of_the_same_gene(tmp_path):
    adata = counts([*GENES[:5], "MYB", "SFPI1"], 40, 8)  # the last is a former name of SPI1
    for i, order in enumerate(([0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0])):
        path = write(tmp_path / str(i), a=adata[:, order].copy())
        mean = build(GENES, names=["a"], path=path).mean(["SPI1"])
        assert np.allclose(mean, normalised(adata)[:, 1].mean(), atol=1e-5)


class TestFiles:
    def test_missing_set(self, two):
        sets, folder = two
        path = write(folder, **sets)
        for call in (build, cells):
            with pytest.raises(DataNotFoundError, match=r"'nowhere' of the corpus .*/nowhere\.h5ad"):
                call(GENES, names=["a", "nowhere"], path=path)
        with grn.settings.override(data_dir=None), pytest.raises(DataNotFoundError, match="data_dir"):
            build(GENES)

    def test_a_file_is_no_folder(self, two):
        sets, folder = two
        path = write(folder, **sets)
        with pytest.raises(ParameterError, match="is a file; pass the folder"):
            build(GENES, names=["a", "b"], path=path / "expression" / "a.h5ad")

    def test_the_folder_of_the_settings(self, two):
        sets, folder = two
        with grn.settings.override(data_dir=write(folder, **sets)):
            assert build(GENES, names=["a"]).sets == ("a",)

    def test_damaged_file(self, tmp_path):
        (tmp_path / "expression").mkdir()
        (tmp_path / "expression" / "a.h5ad").write_bytes(b"no such thing")
        with pytest.raises(ExpressionError, match=r"'a' \(a\.h5ad\) cannot be read"):
            build(GENES, names=["a"], path=tmp_path)

    @pytest.mark.parametrize(("change", "what"), [(lambda X: X - 5, "scaled"), (lambda X: X / 0 * 0, "nan")])
    def test_values_that_are_no_expression(self, two, change, what):
        sets, folder = two
        with np.errstate(all="ignore"):
            sets["a"].X = change(sets["a"].X.toarray())
        with pytest.raises(ExpressionError, match=f"'a' is {what}"):
            build(GENES, names=["a"], path=write(folder, a=sets["a"]))

    @pytest.mark.parametrize("arguments", [{"genes": []}, {"genes": "SPI1"}, {"names": []}, {"names": "a"}])
    def test_empty_and_single_names(self, two, arguments):
        sets, folder = two
        genes, names = arguments.get("genes", GENES), arguments.get("names", ["a"])
        for call in (build, cells):
            with pytest.raises(ParameterError, match=r"is empty|is a single string"):
                call(genes, names=names, path=write(folder, **sets))

    def test_training_sets_are_those_of_the_card(self):
        found = training_sets()
        assert list(found) == sorted(set(found)) and "human_pbmc_facs_zheng2017" in found
        assert "human_esc_endothelial_chu2016_100" not in found, "kept out of training"


class TestCache:
    @pytest.fixture
    def call(self, two, monkeypatch):
        sets, folder = two
        path, cache = write(folder, **sets), folder / "cache"
        seen = []
        real = _corpus.listed
        monkeypatch.setattr(_corpus, "listed", lambda *given, **more: seen.append(1) or real(*given, **more))

        def run(genes=GENES):
            seen.clear()
            return build(genes, names=["a", "b"], path=path, cache=cache), len(seen)

        return run, path, cache

    def test_round_trip(self, call):
        run, _, cache = call
        first, read = run()
        again, reread = run(GENES[::-1])
        assert (read, reread) == (2, 0) and len(list(cache.iterdir())) == 1
        assert first.sha256 == again.sha256 and first.sets == again.sets
        for table in ("coexpression", "expression"):
            assert np.array_equal(getattr(first, table), getattr(again, table), equal_nan=True)
        assert np.array_equal(first.n_sets, again.n_sets) and np.array_equal(first.genes, again.genes)
        with pytest.raises(ValueError, match="read-only"):
            again.coexpression[0, 1] = 0

    def test_other_genes_and_other_files_are_other_results(self, call):
        run, path, _ = call
        first, _ = run()
        fewer, read = run(GENES[:-1])
        assert read == 2 and fewer.sha256 != first.sha256
        write(path, b=counts(SECOND, 50, 7))
        changed, read = run()
        assert read == 2 and changed.sha256 != first.sha256
        assert not np.array_equal(changed.coexpression, first.coexpression, equal_nan=True)

    @pytest.mark.parametrize("damage", ["short", "flipped", "empty", "other"])
    def test_a_damaged_file_is_computed_anew(self, call, damage, caplog):
        run, _, cache = call
        first, _ = run()
        (file,) = cache.iterdir()
        content = bytearray(file.read_bytes())
        if damage == "flipped":
            at = content.index(first.coexpression[np.triu_indices(8, 1)].tobytes())
            content[at] ^= 1
        if damage == "other":
            arrays = {"upper": np.zeros(28), "expression": np.zeros(8), "n_sets": np.zeros(8)}
            sealed.keep(file, sealed.packed({"key": np.array("x"), **arrays}))
        else:
            file.write_bytes({"short": content[: len(content) // 2], "flipped": content, "empty": b""}[damage])
        with caplog.at_level(logging.WARNING, logger="grn"):
            again, read = run()
        assert read == 2 and "is damaged" in caplog.text
        assert np.array_equal(first.coexpression, again.coexpression, equal_nan=True)
        assert run()[1] == 0, "and written again"


class TestCells:
    def test_drawn_cells_keep_their_values(self, two):
        sets, folder = two
        found = cells([*GENES, "TP53"], names=["a", "b"], path=write(folder, **sets), per_set=15)
        assert found.shape == (30, 9) and found.var_names.tolist() == sorted([*GENES, "TP53"])
        assert found.obs["set"].value_counts().to_dict() == {"a": 15, "b": 15}
        assert set(found.obs["scale"]) == {"counts"}
        for name, adata in sets.items():
            mine = found[found.obs["set"] == name, adata.var_names]
            rows = adata.obs_names.get_indexer(mine.obs_names.str.removeprefix(f"{name}:"))
            assert np.allclose(mine.X.toarray(), normalised(adata)[rows], rtol=1e-6)
        assert found.var["measured"].to_dict() == {g: 0.5 * (g in FIRST) + 0.5 * (g in SECOND) for g in found.var_names}

    def test_what_a_set_does_not_list_is_filled_from_those_that_do(self, two):
        sets, folder = two
        found = cells(GENES, names=["a", "b"], path=write(folder, **sets), per_set=15)
        measured, filled = (np.sort(found[found.obs["set"] == name, "IRF8"].X.toarray().ravel()) for name in "ba")
        assert np.array_equal(measured, filled), "as many cells on both sides, so each value is used once"
        assert np.isclose(found[:, "IRF8"].X.toarray().std(), measured.std())

    def test_a_gene_that_no_set_lists_is_silent(self, two):
        sets, folder = two
        found = cells(["SPI1", "TP53"], names=["a"], path=write(folder, **sets))
        assert found[:, "TP53"].X.nnz == 0 and found.var.loc["TP53", "measured"] == 0
        with pytest.raises(GeneOverlapError, match=r"none of the 1 genes \(TP53\)"):
            cells(["TP53"], names=["a"], path=folder)

    def test_order_changes_nothing_and_the_seed_does(self, two):
        sets, folder = two
        random = np.random.default_rng(0)
        shuffled = {n: s[random.permutation(s.n_obs), random.permutation(s.n_vars)].copy() for n, s in sets.items()}
        one = cells(GENES, names=["a", "b"], path=write(folder / "1", **sets), per_set=5)
        same = cells(GENES[::-1], names=["b", "a"], path=write(folder / "2", **shuffled), per_set=5)
        assert one.obs_names.tolist() == same.obs_names.tolist() and (one.X != same.X).nnz == 0
        other = cells(GENES, names=["a", "b"], path=folder / "1", per_set=5, rng=1)
        assert set(one.obs_names) != set(other.obs_names)

    def test_of_a_corpus_and_small_sets(self, two):
        sets, folder = two
        corpus = build(GENES, names=["b"], path=write(folder, **sets))
        found = cells(corpus, path=folder, per_set=1000)
        assert found.n_obs == 50 and found.uns["corpus"]["sets"].tolist() == ["b"]

    @pytest.mark.parametrize("per_set", [0, -1, 2.5, True, None])
    def test_per_set_is_checked(self, two, per_set):
        sets, folder = two
        with pytest.raises(ParameterError, match="per_set"):
            cells(GENES, names=["a"], path=write(folder, **sets), per_set=per_set)

    def test_serves_as_real_cells_of_a_probe(self, two, tmp_path):
        sets, folder = two
        found = cells(GENES, names=["a", "b"], path=write(folder, **sets))
        model = grn.models.load("mini")
        known = found.var_names.isin(model.target_genes)
        grn.tl.pert(found, model=model, sources=["SPI1", "MYB"], progress=False)
        values = found.varm["pert"][known]
        assert known.sum() == len(GENES) == 8
        assert np.isfinite(values).sum() == 2 * 8 - 2 and np.nanmax(np.abs(values)) > 0
        found.write_h5ad(tmp_path / "cells.h5ad")
        assert (ad.read_h5ad(tmp_path / "cells.h5ad").X != found.X).nnz == 0


def test_on_real_data_cell_cycle_genes_go_together(shared_dir):
    cycle = ["MKI67", "TOP2A", "CDK1", "BIRC5", "CCNB1", "TYMS"]
    blood = ["CD74", "HLA-DRA", "LYZ", "CST3", "CD3D", "CD3E", "GNLY", "NKG7"]
    names = ["human_pbmc_10x_1k_v3", "human_jurkat_293t_2dimpute", "mouse_gut_cimseq"]
    corpus = build([*cycle, *blood], names=names, path=shared_dir / "data")
    inside = np.nanmean(corpus.pairs(cycle, cycle))
    across = np.nanmean(corpus.pairs(cycle, blood))
    assert inside > across + 0.3 and corpus.pairs(["CD3D"], ["CD3E"]) > 0
    assert corpus.n_sets.max() == 3 and corpus.mean(["CD74"]) > corpus.mean(["CDK1"])
