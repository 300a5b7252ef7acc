"""Panels that cover every pair, whatever a model takes at a time."""

from types import SimpleNamespace

import numpy as np
import pytest

from grn.errors import ParameterError
from grn.methods import Task
from grn.methods.genes import PairGenes, panels
from grn.methods.probes.base_cells import CONTEXTS
from grn.methods.probes.features import value_grid
from grn.methods.probes.plan import cells_per_pass
from grn.models.protocol import resolve_panel

NAMES = np.array([f"g{i:02d}" for i in range(20)])


def model(max_genes):
    vocabulary = {name: i for i, name in enumerate(NAMES)}
    return SimpleNamespace(
        source_genes=tuple(NAMES),
        target_genes=tuple(NAMES),
        max_genes=max_genes,
        panel=lambda s, t: resolve_panel(vocabulary, s, t, max_genes=max_genes),
    )


def genes(ids, sources, targets):
    nothing = np.array([], dtype=str)
    return PairGenes(np.asarray(ids), np.asarray(sources), np.asarray(targets), nothing, nothing, nothing)


@pytest.mark.parametrize("max_genes", [2, 3, 5, 8, 19, 20, 100])
@pytest.mark.parametrize("n_sources", [1, 4, 20])
def test_every_pair_is_read_once(max_genes, n_sources):
    sources = np.arange(20)[::-1][:n_sources]
    parts = panels(model(max_genes), genes(NAMES, sources, np.arange(20)))
    pairs = [(s, t) for _, src, tgt in parts for s in src for t in tgt]
    assert sorted(pairs) == sorted((s, t) for s in sources for t in range(20))
    for panel, src, tgt in parts:
        assert len(panel) <= max_genes
        assert panel.sources == tuple(NAMES[src]) and panel.targets == tuple(NAMES[tgt])
    assert (len(parts) == 1) == (max_genes >= 20)


@pytest.mark.parametrize("max_genes", [4, 100])
def test_panels_go_by_name(max_genes):
    order = np.random.default_rng(0).permutation(20)
    places = {name: i for i, name in enumerate(NAMES[order])}
    first = panels(model(max_genes), genes(NAMES, [3, 7, 11], np.arange(20)))
    second = panels(model(max_genes), genes(NAMES[order], [places[NAMES[r]] for r in (11, 3, 7)], np.arange(20)))
    assert [p.genes for p, *_ in first] == [p.genes for p, *_ in second]
    assert [list(NAMES[s]) for _, s, _ in first] == [list(NAMES[order][s]) for _, s, _ in second]


def test_neighbours_are_spread(max_genes=10):
    parts = panels(model(max_genes), genes(NAMES, [0], np.arange(20)))
    for _, _, tgt in parts:
        assert np.diff(sorted(tgt)).min() > 1


def test_batches_fit_the_budget():
    panel = [None] * 100
    small = Task(model=SimpleNamespace(bytes_per_gene=1000), memory_budget=350_000)
    assert cells_per_pass(small, panel) == 3
    assert cells_per_pass(Task(model=SimpleNamespace(bytes_per_gene=10**9), memory_budget=1), panel) == 1
    assert cells_per_pass(Task(model=SimpleNamespace(), batch_size=5), panel) == 5
    for wrong in (0, -1, 2.0, True, "4"):
        with pytest.raises(ParameterError, match="batch_size"):
            cells_per_pass(Task(model=SimpleNamespace(), batch_size=wrong), panel)
    assert CONTEXTS == ("virtual", "mean")


def test_grids():
    assert value_grid(None, (1, 2), "grid").tolist() == [1, 2]
    found = value_grid([3, -1.5], (1, 2), "grid")
    assert found.tolist() == [3, -1.5] and found.dtype == np.float32
    for wrong in ([], [1, 1], [np.nan], [1, 1 + 1e-9], "12", None):
        with pytest.raises(ParameterError, match="grid"):
            value_grid(wrong, () if wrong is None else (1, 2), "grid")
