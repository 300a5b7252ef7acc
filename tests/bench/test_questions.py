"""Pairs of all kinds and of different families: what is drawn, and a planted artefact of paralogues."""

import numpy as np
import pandas as pd
import pytest

from grn.bench import Reference, leaderboard, markdown, overview, verdict
from grn.bench._gene_families import same_family
from grn.bench._questions import DIFFERENT, asked, questions
from grn.bench.splits import own_pairs
from grn.errors import ParameterError
from grn.genes import families
from grn.models import load


def paralogues(runs, name, part, *, seed):
    """Edges within families, and beside these any pairs at random."""
    known = np.array(load("mini").genes)
    stems = families(known)
    sizes = pd.Series(stems).value_counts()
    chosen = sorted(stem for stem in sizes.index if 3 <= sizes[stem] <= 8)[part]
    genes = sorted(known[np.isin(stems, chosen)])
    labels = families(genes)
    pairs = [(s, t) for i, s in enumerate(genes) for j, t in enumerate(genes) if s != t and labels[i] == labels[j]]
    random = np.random.default_rng(seed)
    ends = random.choice(genes, (2 * len(pairs), 2))
    table = pd.DataFrame([*pairs, *map(tuple, ends)], columns=["source", "target"])
    table = table[table["source"] != table["target"]].drop_duplicates()
    return Reference(table, genes=genes, regulators=genes, dataset=name, network="N")


@pytest.fixture(scope="module")
def planted(runs):
    # stems far from each other in the alphabet, or they would share prefixes too
    return paralogues(runs, "one", slice(0, 240, 20), seed=0), paralogues(runs, "two", slice(10, 250, 20), seed=1)


def test_both_questions_have_one_prevalence_and_matched_degrees(planted):
    reference = planted[0]
    both = list(questions(reference, own_pairs(reference), "degree_matched", [0, 1]))
    same = same_family(reference)
    assert [question.pairs for question in both] == ["all", "different families"]
    for question in both:
        for part in question.samples:
            assert part.prevalence == 0.5
            for ends in (part.sources, part.targets):
                edges, others = (np.bincount(ends[part.labels == label], minlength=400) for label in (1, 0))
                assert (edges == others).all()
    crossing = [part.take(same).mean() for question in both for part in question.samples]
    assert min(crossing[:2]) > 0.05 and crossing[2:] == [0, 0]
    wanted = asked(reference, both)
    assert all(wanted[part.sources, part.targets].all() for question in both for part in question.samples)


def test_a_reference_of_one_family_has_no_second_question(build, caplog):
    reference = build.small(0)  # gene0001, gene0002, ...
    both = list(questions(reference, own_pairs(reference), "uniform", [0]))
    assert [question.pairs for question in both] == ["all"] and "different families" in caplog.text


@pytest.fixture(scope="module")
def table(planted, runs):
    from grn.bench import run

    def relatives(adata, pairs):
        return (families(pairs["source"]) == families(pairs["target"])).astype(float)

    given = {"methods": [], "scorers": {"relatives": relatives}, "outside": False, "seeds": 2, "n_boot": 50}
    return run(train=planted[0], test=[planted[1]], protocols=["strict"], progress=False, **given)


def test_a_planted_artefact_of_families_is_caught(table):
    """Known relatives win on all pairs; the floor wins as much; where there are no relatives nothing is left."""
    of = table[table["metric"] == "auprc"].set_index(["method", "pairs"])
    assert of.loc[("relatives", "all"), "value"] > 0.6
    assert of.loc[("relatives", "all"), "best_floor"] == "same family"
    assert abs(of.loc[("relatives", "all"), "gain"]) < 0.05, "the floor knows prefixes too"
    assert of.loc[("relatives", DIFFERENT), "value"] == pytest.approx(
        of.loc[("random", DIFFERENT), "value"]
    ) and of.loc[("same family", DIFFERENT), "value"] == pytest.approx(of.loc[("random", DIFFERENT), "value"])
    assert (of["prevalence"] == 0.5).all()


def test_boards_and_words_tell_both(table):
    boards = [leaderboard(table, network="N", protocol="strict", pairs=pairs) for pairs in ("all", DIFFERENT)]
    methods = [board.loc[("method", "relatives"), "mean"] for board in boards]
    assert methods[0] > methods[1] + 0.1
    assert overview(table, pairs=DIFFERENT).loc[("method", "relatives")].item() == methods[1]
    words = verdict(table).split("\n\n")
    assert len(words) == 2 and words[1].startswith("**N, strict, pairs of different families.**")
    assert "Gain over the best floor of each data set: " in words[0] and "95 % interval" in words[0]
    page = markdown(table)
    assert page.count("## ") == 4 and "## N, protocol strict, pairs of different families: auprc" in page
    assert page.count("Best method: relatives") == 2
    with pytest.raises(ParameterError, match="there are: all, different families"):
        leaderboard(table, network="N", protocol="strict", pairs="some")
    with pytest.raises(ParameterError, match="there are: all"):
        overview(table.drop(columns="pairs"), pairs=DIFFERENT)
