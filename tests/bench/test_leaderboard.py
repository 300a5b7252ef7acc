"""The tidy frame as people read it: leaderboards, Markdown, words, and the figures of the paper."""

import itertools

import numpy as np
import pandas as pd
import pytest

from grn.bench import gains, leaderboard, markdown, overview, verdict
from grn.bench._published_figures import _COLUMNS, published
from grn.errors import ParameterError

UNITS = {"hHEP": "hHEP", "mESC": "mESC", "mHSC-E": "mHSC", "mHSC-GM": "mHSC", "mHSC-L": "mHSC"}
KINDS = {
    "own degree": "oracle",
    "degree": "floor",
    "Ens, shuffled weights": "ablation",
    "Ens": "method",
    "Emb": "method",
    "|correlation|": "floor",
}
# value of a method on the first test set; every further set adds 0.01
FIRST = {
    "own degree": 0.9,
    "degree": 0.7,
    "Ens, shuffled weights": 0.55,
    "Ens": 0.6,
    "Emb": 0.58,
    "|correlation|": 0.5,
}


def result(**changes):
    """A table as a run gives it: two networks, both protocols, two metrics."""
    rows = []
    choices = itertools.product(["STRING", "Specific"], ["paper", "strict"], ["auprc", "auroc"], KINDS, UNITS)
    for network, protocol, metric, method, test in choices:
        value = FIRST[method] + 0.01 * list(UNITS).index(test)
        value -= {"paper": 0, "strict": 0.1}[protocol] + {"auprc": 0, "auroc": 0.2}[metric]
        told = published(method, train=f"hESC/{network}", network=network, test=test, protocol=protocol, metric=metric)
        rows.append(
            {
                "backbone": "mini",
                "train": f"hESC/{network}",
                "train_dataset": "hESC",
                "test": test,
                "unit": UNITS[test],
                "network": network,
                "size": "500",
                "protocol": protocol,
                "method": method,
                "kind": KINDS[method],
                "metric": metric,
                "value": value,
                "prevalence": 0.5,
                "published": told,
            }
        )
    return pd.DataFrame(rows).assign(**changes)


RESULT = result()


def test_one_row_per_method_and_one_column_per_set():
    table = leaderboard(RESULT, network="STRING")
    assert list(table.columns) == [*UNITS, "mean"]
    assert list(table.index) == [
        ("method", "Ens"),
        ("method", "Emb"),
        ("ablation", "Ens, shuffled weights"),
        ("floor", "degree"),
        ("floor", "|correlation|"),
        ("oracle", "own degree"),
        ("published", "Ens (paper, scGPT)"),
    ]
    for method, test in itertools.product(KINDS, UNITS):
        expected = FIRST[method] + 0.01 * list(UNITS).index(test)
        assert table.loc[(KINDS[method], method), test] == pytest.approx(expected)


def test_the_lineages_of_one_experiment_count_as_one():
    table = leaderboard(RESULT, network="STRING")
    expected = np.mean([0.60, 0.61, np.mean([0.62, 0.63, 0.64])])
    assert table.loc[("method", "Ens"), "mean"] == pytest.approx(expected)


def test_a_method_without_all_sets_has_no_mean():
    part = RESULT[(RESULT["method"] != "|correlation|") | (RESULT["test"] == "mESC")]
    table = leaderboard(part, network="STRING")
    assert np.isnan(table.loc[("floor", "|correlation|"), "mean"])
    assert table.loc[("floor", "|correlation|")].notna().sum() == 1
    assert table.loc[("floor", "degree"), "mean"] == pytest.approx(np.mean([0.70, 0.71, 0.73]))


def test_choices():
    table = leaderboard(RESULT, network="Specific", protocol="strict", metric="auroc")
    assert table.loc[("method", "Ens"), "hHEP"] == pytest.approx(0.3)
    assert "published" not in table.index.get_level_values("kind")


def test_what_the_paper_reports_stands_below():
    table = leaderboard(RESULT, network="STRING").loc[("published", "Ens (paper, scGPT)")]
    assert table.dropna().to_dict() == {"hHEP": 0.909, "mESC": 0.966, "mHSC-L": 0.873}


def test_several_training_sets():
    """Each test set shows the first training set that was tested on it, unless one is asked for."""
    other = result(train="mESC/STRING", train_dataset="mESC").query("test != 'mESC'")
    other = pd.concat([other, other.query("test == 'hHEP'").assign(test="hESC", unit="hESC")])
    other = other.assign(value=other["value"] + 0.2)
    both = pd.concat([RESULT, other], ignore_index=True)
    table = leaderboard(both, network="STRING")
    assert set(table.columns) == {*UNITS, "hESC", "mean"}
    assert table.loc[("method", "Ens"), "hHEP"] == pytest.approx(0.6), "trained on hESC"
    assert table.loc[("method", "Ens"), "hESC"] == pytest.approx(0.8), "trained on mESC"
    asked = leaderboard(both, network="STRING", train="mESC")
    assert "mESC" not in asked.columns and asked.loc[("method", "Ens"), "hHEP"] == pytest.approx(0.8)
    backwards = leaderboard(pd.concat([other, RESULT]), network="STRING")
    assert backwards.loc[("method", "Ens"), "hHEP"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    "choice",
    [{"network": "Lofgof"}, {"network": "STRING", "protocol": "loose"}, {"network": "STRING", "metric": "f1"}],
    ids=str,
)
def test_a_choice_without_rows_names_the_others(choice):
    with pytest.raises(ParameterError, match="there are: ") as caught:
        leaderboard(RESULT, **choice)
    assert list(choice.values())[-1] in str(caught.value)


def test_what_is_no_result_is_refused():
    with pytest.raises(ParameterError, match="train_dataset"):
        leaderboard(RESULT.drop(columns="train_dataset"), network="STRING", train="hESC")
    with pytest.raises(ParameterError, match="network"):
        leaderboard(pd.DataFrame({"a": [1]}), network="STRING")
    with pytest.raises(ParameterError, match="metric"):
        markdown(pd.DataFrame({"a": [1]}))
    with pytest.raises(ParameterError, match="f1"):
        markdown(RESULT, metric="f1")


@pytest.mark.parametrize("column", ["backbone", "size"])
def test_what_must_not_be_averaged_is_not(column):
    both = pd.concat([RESULT, result(**{column: "other"})])
    with pytest.raises(ParameterError, match=column):
        leaderboard(both, network="STRING")


def parsed(text):
    """Tables of a Markdown text by heading: rows of cells."""
    parts = text.split("## ")[1:]
    cut = lambda line: [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]  # noqa: E731
    return {part.splitlines()[0]: [cut(line) for line in part.splitlines() if line.startswith("|")] for part in parts}


def test_the_overview_holds_the_means_of_the_leaderboards():
    found = overview(RESULT)
    assert list(found.columns) == [(n, p) for n in ("STRING", "Specific") for p in ("paper", "strict")]
    for network, protocol in found:
        board = leaderboard(RESULT, network=network, protocol=protocol)
        mean = board["mean"].drop("published", level="kind", errors="ignore")
        assert found[network, protocol].dropna().to_dict() == mean.dropna().to_dict()
    order = [("method", "ablation", "floor", "oracle").index(kind) for kind in found.index.get_level_values("kind")]
    assert order == sorted(order) and found.notna().any(axis=1).all()


def test_markdown_holds_all_tables():
    text = markdown(RESULT)
    tables = parsed(text)
    first, *others = tables
    assert first == "Means over independent data sets: auprc"
    assert others == [f"{n}, protocol {p}: auprc" for n in ("STRING", "Specific") for p in ("paper", "strict")]
    means = tables.pop(first)
    assert means[0][2:] == [f"{n}, {p}" for n in ("STRING", "Specific") for p in ("paper", "strict")]
    assert len(means) == 2 + len(overview(RESULT)) and all(len(row) == 6 for row in means)
    for heading, (head, rule, *rows) in tables.items():
        network, protocol = heading.split(": ")[0].split(", protocol ")
        board = leaderboard(RESULT, network=network, protocol=protocol)
        assert head == ["kind", "method", *UNITS, "mean"] and len(rule) == len(head)
        assert len(rows) == len(board) and all(len(row) == len(head) for row in rows)
        for row, (_, values) in zip(rows, board.iterrows(), strict=True):
            shown = [cell.strip("*") for cell in row[2:]]
            assert shown == ["" if np.isnan(value) else f"{value:.3f}" for value in values]
    assert text.endswith("\n") and "\n\n\n" not in text and "nan" not in text


def test_the_best_of_each_column_is_bold_but_what_knows_the_answer():
    rows = parsed(markdown(RESULT))["STRING, protocol paper: auprc"][2:]
    bold = {(row[1], i) for row in rows for i, cell in enumerate(row) if "**" in cell}
    assert bold == {("degree", i) for i in range(2, 8)}
    assert any(row[1] == "/correlation/" for row in rows), "a bar in a name is escaped"


def test_words():
    text = verdict(RESULT)
    paragraphs = text.split("\n\n")
    assert [p.split("**")[1] for p in paragraphs] == [
        "STRING, paper.",
        "STRING, strict.",
        "Specific, paper.",
        "Specific, strict.",
    ]
    mean = lambda first: np.mean([first, first + 0.01, first + 0.03])  # noqa: E731
    first = paragraphs[0]
    assert f"Best method: Ens ({mean(0.6):.3f})" in first
    assert f"Best floor: degree ({mean(0.7):.3f}); the floor wins by 0.100." in first
    assert "0.050 is lost" in first
    assert f"The embedding alone scores {mean(0.58):.3f}" in first
    assert f"score {mean(0.9):.3f}" in first


def test_words_change_with_the_figures():
    def shifted(by):
        return RESULT.assign(value=RESULT["value"] + by * (RESULT["method"] == "Ens"))

    assert "the method wins by 0.100" in verdict(shifted(0.2))
    assert "no difference" in verdict(shifted(0.105))
    assert "the method wins by 0.005" in verdict(shifted(0.105), margin=0)
    assert "nothing to speak of is lost" in verdict(shifted(-0.045))
    alone = RESULT[RESULT["kind"] == "floor"]
    assert "No method was run" in verdict(alone)
    for broken in (RESULT.drop(columns="unit"), RESULT.query("metric == 'f1'")):
        with pytest.raises(ParameterError):
            verdict(broken)


def test_ablations_are_those_of_the_best_method_that_has_them():
    more = {"universal (trained)": 0.8, "universal (trained), shuffled weights": 0.75}
    more |= {"universal (trained), untrained SVD": 0.795, "universal (trained), without response": 0.7}
    base = RESULT[RESULT["method"] == "Ens"]
    kinds = {name: "ablation" if ", " in name else "method" for name in more}
    parts = [base.assign(method=m, kind=kinds[m], value=base["value"] + v - 0.6) for m, v in more.items()]
    text = verdict(pd.concat([RESULT, *parts])).split("\n\n")[0]
    assert "With the weights in random order universal (trained) scores" in text and "order Ens" not in text
    assert text.count("0.050 is lost") == 1 and text.count("0.100 is lost") == 1
    # 0.005 is within the margin, and is more than nothing
    assert "nothing to speak of is lost: the model adds little" in text and "gene names shuffled" not in text


def test_gains_of_every_data_set_and_their_means():
    """The mean is over units, its interval as if units were independent and lineages of one unit were not."""
    base = RESULT[(RESULT["method"] == "Ens") & (RESULT["network"] == "STRING")]
    rows = base.assign(method="universal", pairs="all", best_floor="degree", floor=0.5, gain=base["value"] - 0.5)
    rows = rows.assign(gain_low=rows["gain"] - 0.03, gain_high=rows["gain"] + 0.06)
    again = rows.assign(train="hHEP/STRING", value=0.0)  # a second training set does not count
    table = gains(pd.concat([rows, again]))
    strict = rows[(rows["protocol"] == "strict") & (rows["metric"] == "auprc")].set_index("test")
    assert table["test"].tolist() == [*UNITS, "mean"]
    assert table["gain"][:-1].tolist() == strict["gain"].tolist() and (table["best_floor"][:-1] == "degree").all()
    mean = table.iloc[-1]
    assert mean["gain"] == pytest.approx(strict.groupby("unit")["gain"].mean().mean())
    assert mean["gain"] - mean["gain_low"] == pytest.approx(0.03 / np.sqrt(3))
    assert mean["gain_high"] - mean["gain"] == pytest.approx(0.06 / np.sqrt(3))
    for broken in (rows.drop(columns="gain"), rows.assign(method="VVP")):
        with pytest.raises(ParameterError, match=r"gain|universal"):
            gains(broken)


@pytest.mark.parametrize("told", [gains, verdict, markdown])
def test_sets_of_several_sizes_are_not_mixed(told):
    rows = RESULT.assign(pairs="all", best_floor="degree", floor=0.5, gain=0.1, gain_low=0.0, gain_high=0.2)
    rows = rows.replace({"method": {"Ens": "universal"}})
    told(rows.assign(size=500))
    with pytest.raises(ParameterError, match="several of size: 500, 1000; keep"):
        told(pd.concat([rows.assign(size=size) for size in (500, 1000)]))


def test_the_interval_is_that_of_the_gain_over_the_best_floor_of_each_data_set():
    """Two floors share the data sets: the method is above either on average and below the better one of each."""
    base = {"network": "N", "protocol": "paper", "metric": "auprc", "train": "a/N"}
    values = {"x": ("method", 0.6, 0.6), "one": ("floor", 0.7, 0.4), "two": ("floor", 0.4, 0.7)}
    rows = [
        {**base, "unit": unit, "test": unit, "method": name, "kind": kind, "value": value, "best_floor": best}
        for name, (kind, *of) in values.items()
        for unit, value, best in zip("uv", of, ("one", "two"), strict=True)
    ]

    def said(gain, low, high):
        return verdict(pd.DataFrame(rows).assign(gain=gain, gain_low=low, gain_high=high))

    below = said(-0.1, -0.12, -0.08)
    assert "wins" not in below and "Gain over the best floor of each data set: -0.100" in below
    assert "a difference of +0.050 over it, and a loss to the best floor of each data set" in below
    # the interval is that of the second difference, and says nothing of the first unless they are the same
    unsure = said(0.01, -0.1, 0.1)
    assert "a difference of +0.050, while that to the best floor of each data set may be chance" in unsure
    assert "a difference of +0.050 that may be chance" in said(0.05, -0.1, 0.1)
    assert "the method wins by 0.050" in said(0.04, 0.02, 0.06)


def test_what_was_not_scored_everywhere_is_not_the_best():
    part = RESULT.assign(value=RESULT["value"].where(RESULT["method"] != "|correlation|", 0.99))
    part = part[(part["method"] != "|correlation|") | (part["test"] == "mESC")]
    assert "Best floor: degree" in verdict(part)


def test_figures_of_the_paper_stand_only_where_it_reports_them():
    facts = {"train": "hESC/STRING", "network": "STRING", "test": "mESC", "protocol": "paper", "metric": "auprc"}
    assert published("GDT", **facts) == 0.969 and published("Pert (origin)", **facts) == 0.542
    found = [published(method, **facts) for method in _COLUMNS]
    assert found == [0.542, 0.531, 0.493, 0.699, 0.600, 0.969, 0.966]
    changes = [
        {"train": "mDC/STRING"},
        {"train": "hESC/Specific"},
        {"network": "Specific"},
        {"test": "mHSC-E"},
        {"protocol": "strict"},
        {"metric": "auroc"},
    ]
    assert all(np.isnan(published("GDT", **{**facts, **change})) for change in changes)
    assert np.isnan(published("GDT (raw)", **facts)) and np.isnan(published("degree", **facts))
