import pytest
from hypothesis import given
from hypothesis import strategies as st

from grn._core.errors import ParameterError
from grn.models.protocol import resolve_panel

VOCABULARY = {name: i for i, name in enumerate("DCBAEF")}
names = st.lists(st.sampled_from("ABCDEFXYZ"), max_size=12)


@given(sources=names, targets=names)
def test_a_panel_keeps_the_order_asked_for(sources, targets):
    panel = resolve_panel(VOCABULARY, sources, targets, max_genes=6)
    for found, positions, asked in (
        (panel.sources, panel.src_pos, sources),
        (panel.targets, panel.tgt_pos, targets),
    ):
        assert list(found) == list(dict.fromkeys(g for g in asked if g in VOCABULARY))
        assert [panel.genes[i] for i in positions] == list(found)
    assert list(panel.genes) == [g for g in VOCABULARY if g in {*sources, *targets}]
    assert panel.tokens.tolist() == [VOCABULARY[g] for g in panel.genes]
    assert list(panel.unknown) == list(dict.fromkeys(g for g in [*sources, *targets] if g not in VOCABULARY))
    assert len(panel) == len(panel.genes)


@given(sources=names, targets=names, data=st.data())
def test_the_genes_do_not_depend_on_the_order_asked_for(sources, targets, data):
    mixed = resolve_panel(
        VOCABULARY, data.draw(st.permutations(sources)), data.draw(st.permutations(targets)), max_genes=6
    )
    panel = resolve_panel(VOCABULARY, sources, targets, max_genes=6)
    assert mixed.genes == panel.genes
    assert mixed.tokens.equal(panel.tokens)


def test_a_panel_that_is_too_large_is_refused(make_memory):
    model = make_memory(max_genes=3)
    assert len(model.panel(["G00", "G01"], ["G02", "G00", "unknown"])) == 3
    with pytest.raises(ParameterError, match=r"4 genes.*takes 3"):
        model.panel(["G00", "G01"], ["G02", "G03"])


def test_an_empty_panel_has_integer_positions():
    panel = resolve_panel(VOCABULARY, ["X"], [], max_genes=6)
    assert len(panel) == 0
    assert panel.unknown == ("X",)
    assert str(panel.tokens.dtype) == str(panel.src_pos.dtype) == str(panel.tgt_pos.dtype) == "torch.int64"
