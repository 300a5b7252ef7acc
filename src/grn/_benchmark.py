"""``grn bench``: the standard tables, written to a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from grn import bench, pl
from grn._core.errors import DataNotFoundError
from grn._core.files import make_folder, output_folder, written
from grn._core.markdown import markdown_table
from grn.datasets import literature

_DRAWN = ("auprc", "auprc_regulator")
_NETWORKS = ("STRING", "Non-Specific", "Specific")
# networks whose edges have a direction but no BEELINE set to train on are tested after this one
_DIRECTED = ("hESC", "Non-Specific")


def benchmark(
    out: Path,
    *,
    quick: bool = False,
    labels: bool = False,
    model: str = "mini",
    sizes: Sequence[int] = (500,),
    data: Path | None = None,
    cache: Path | None = None,
    n_jobs: int | None = None,
) -> Iterator[str]:
    """Run the standard benchmark, write tables and figures, and say what was written.

    Parameters
    ----------
    out
        Folder to write to.
    quick
        At most 100 regulators per data set.
    labels
        Only what the labels alone give away: floors, leakage and links within gene families.
    model
        Backbone.
    sizes
        BEELINE's sizes.
    data
        Folder with ``beeline/``, ``expression/``, ``priors/`` and ``perturbation/``.
    cache
        Folder of features and finished trials; ``out/cache`` by default.
    n_jobs
        Processes.
    """
    out = output_folder(out, name="out")
    make_folder(out)
    cache = output_folder(out / "cache" if cache is None else cache, name="cache")
    shared, floors = bench.leakage(path=data), bench.label_floors(path=data)
    yield _write(shared, out / "leakage.csv")
    yield _write(floors, out / "label_floors.csv")
    yield _text(_labels(shared, floors), out / "labels.md")
    related = bench.family_links(path=data)
    yield _write(related, out / "families.csv")
    yield _text(_families(related), out / "families.md")
    yield _draw_families(related, out / "families.png")
    if labels:
        return
    settings = {"max_regulators": 100} if quick else {}
    parts, left_out = [], []
    for size in sizes:
        try:
            second = [literature(name, size=size, path=data) for name in ("CollecTRI", "TRRUST")]
        except DataNotFoundError as error:
            second = []
            yield f"no second reference at size {size}: {error}"
        for train, test in _plan():
            where = {"path": data, "cache": cache, "n_jobs": n_jobs}
            # labels of another kind, on genes that were never trained on
            tests = [*test, *second] if train == _DIRECTED else test
            parts.append(bench.run(model=model, train=train, test=tests, size=size, **where, **settings))
            left_out.append(pd.DataFrame(parts[-1].attrs.pop("left_out", {})))
            yield f"{train[0]}/{train[1]} at size {size}: done"
    results = _in_order(pd.concat(parts, ignore_index=True))
    with written(out / "results.parquet") as place:
        results.to_parquet(place, index=False)
    yield f"{out / 'results.parquet'}: {len(results)} rows"
    yield _text(_by_size(results, bench.verdict), out / "verdict.md")
    if "universal" in set(results["method"]):
        hardest = "strict" if "strict" in set(results["protocol"]) else "paper"
        yield _text(_by_size(results, lambda part: _gains(bench.gains(part, protocol=hardest))), out / "gains.md")
    tables = _by_size(results, lambda part: "\n".join(bench.markdown(part, metric=metric) for metric in _DRAWN))
    about = f"# Benchmark of {model}\n\n{_about(results, settings.get('max_regulators'))}"
    tests = set(results["test"] + "/" + results["network"] + "/" + results["size"].astype(str))
    absent = _left_out(pd.concat(left_out), tests)
    yield _text("\n\n".join([about, tables.rstrip(), *absent]) + "\n", out / "results.md")
    yield from _draw(results, out, model, data, cache, settings.get("max_regulators"))
    try:
        screens = bench.perturbation.suite(path=data, cache=cache)
    except DataNotFoundError as error:
        yield f"no perturbation suite: {error}"
        return
    yield _write(screens, out / "perturbation.csv")
    yield _text(bench.perturbation.markdown(screens), out / "perturbation_table.md")


def known_drivers(
    out: Path, *, methods: list[str] | None = None, data: Path | None = None, cache: Path | None = None
) -> Iterator[str]:
    """Ask who drives the contrasts whose drivers are known, write tables and a figure, and say what to use.

    Parameters
    ----------
    out
        Folder to write to.
    methods
        Methods and published networks; all by default.
    data
        Folder with ``expression/``, ``multiome/``, ``perturbation/`` and ``priors/``.
    cache
        Folder of finished answers; ``out/cache`` by default.
    """
    out = output_folder(out, name="out")
    make_folder(out)
    cache = output_folder(out / "cache" if cache is None else cache, name="cache")
    table = bench.drivers.run(methods=methods, path=data, cache=cache)
    yield _write(table, out / "drivers.csv")
    yield _text(bench.drivers.markdown(table) + "\n", out / "drivers_table.md")
    axes = pl.benchmark(bench.drivers.figure_table(table), metric="driver_percentile")
    yield _saved(axes, out / "drivers.png")
    verdict = bench.drivers.verdict(table)
    yield _text(verdict + "\n", out / "drivers_verdict.md")
    yield verdict


def _plan() -> list[tuple[tuple[str, str], list[str] | list[tuple[str, str]]]]:
    """Training sets and what each is tested on: all from hESC as in the paper, by which `mini` was chosen, too."""
    others = ["hHEP", "mDC", "mESC", "mHSC-E", "mHSC-GM", "mHSC-L"]
    plan: list[tuple[tuple[str, str], list[str] | list[tuple[str, str]]]] = []
    for network in _NETWORKS:
        # there is one network of loss and gain of function only; its translators come from the other directed network
        more = [("mESC", "Lofgof")] if ("hESC", network) == _DIRECTED else []
        plan.append((("hESC", network), [*others, *more]))
    return plan


def _in_order(results: pd.DataFrame) -> pd.DataFrame:
    """Protocols of a network beside each other, networks of other collections last."""
    networks = list(dict.fromkeys([*_NETWORKS, *results["network"]]))
    places = results["network"].map(networks.index) * 2 + (results["protocol"] == "strict")
    return results.loc[places.sort_values(kind="stable").index].reset_index(drop=True)


def _by_size(results: pd.DataFrame, told: Callable[[pd.DataFrame], str]) -> str:
    """What is told of every number of genes, which are never averaged."""
    parts = {f"Regulators and {size} genes:\n\n": told(part) for size, part in results.groupby("size", sort=False)}
    heads = parts if len(parts) > 1 else [""]
    return "\n\n".join(head + text.rstrip() for head, text in zip(heads, parts.values(), strict=True)) + "\n"


def _gains(rows: pd.DataFrame) -> str:
    """The gain of every data set in both kinds of pairs, side by side; no mean of a single one."""
    rows = rows[(rows["test"] != "mean") | (rows.groupby(["network", "pairs"])["test"].transform("size") > 2)]
    floors = rows["best_floor"].where(rows["best_floor"] != "", "each its best")
    text = rows["gain"].map("{:+.3f}".format)
    both = rows["gain_low"].notna() & rows["gain_high"].notna()
    text = text.where(
        ~both, text + " [" + rows["gain_low"].map("{:+.3f}".format) + ", " + rows["gain_high"].map("{:+.3f}]".format)
    )
    told = rows[["network", "test"]].assign(
        universal=rows["value"].map("{:.3f}".format), best=floors + " " + rows["floor"].map("{:.3f}".format), gain=text
    )
    sides = [told[rows["pairs"] == pairs].set_index(["network", "test"]) for pairs in rows["pairs"].unique()]
    names = [f"{name}, {pairs}" for pairs in rows["pairs"].unique() for name in ("universal", "best floor", "gain")]
    wide = pd.concat(sides, axis=1).set_axis(names, axis=1).reindex(sides[0].index).fillna("")
    return _grid(wide.reset_index()) + "\n"


def _about(results: pd.DataFrame, max_regulators: int | None) -> str:
    """What was run, in a sentence."""
    sizes = ", ".join(str(size) for size in results["size"].unique())
    most = "all regulators" if max_regulators is None else f"at most {max_regulators} regulators per data set"
    seeds = ", ".join(str(number) for number in results["seeds"].unique())
    facts = f"Regulators and {sizes} genes, {most}, {seeds} draws of negatives and translators"
    return f"{facts}; weights {results['model_sha256'].iloc[0][:12]}, grn {results['version'].iloc[0]}."


def _left_out(rows: pd.DataFrame, all_tests: set[str]) -> list[str]:
    """Why methods are missing, a line per reason."""
    if rows.empty:
        return []
    lines = []
    for reason, part in rows.groupby("reason", sort=False):
        tests = set(part["test"])
        where = "everywhere" if tests >= all_tests else ", ".join(sorted(tests))
        lines.append(f"- {reason} ({where}): {'; '.join(part['method'].unique())}.")
    return ["## Left out", "\n".join(lines)]


def _labels(shared: pd.DataFrame, floors: pd.DataFrame) -> str:
    """Both tables as people read them; transfer and two of the halves are averaged over the sets but hESC."""
    wide = shared.pivot(index="test", columns="network", values=["shared_pairs", "label_agreement"])
    genes = shared.drop_duplicates("test").set_index("test")[["shared_genes", "shared_regulators"]]
    wide.columns = [f"{what.replace('_', ' ')}, {network}" for what, network in wide.columns]
    genes.columns = [name.replace("_", " ") for name in genes]
    told = genes.join(wide).loc[genes.index].map(lambda value: f"{value:.0%}")
    others = floors["negatives"].isin(["uniform", "natural density"]) & (floors["test"] == "hESC")
    means = floors[~others].pivot_table(
        index=["task", "negatives", "floor"], columns="network", values="value", sort=False
    )
    rows = means[list(_NETWORKS)].map("{:.3f}".format).reset_index()
    return f"{_grid(told.reset_index())}\n\n{_grid(rows)}\n"


def _families(related: pd.DataFrame) -> str:
    """Means over independent test sets."""
    columns = ["edges", "non_edges", "value"]
    units = related.groupby(["network", "family", "unit"], sort=False)[columns].mean()
    means = units.groupby(["network", "family"], sort=False).mean().reset_index()
    shares = means[["edges", "non_edges"]].map("{:.1%}".format)
    told = means[["network", "family"]].join(shares).assign(value=means["value"].map("{:.3f}".format))
    names = {"edges": "edges within", "non_edges": "non-edges within", "value": "AUPRC of it alone"}
    return _grid(told.rename(columns=names)) + "\n"


def _draw_families(related: pd.DataFrame, path: Path) -> str:
    """Shares of edges and of non-edges that join one family, per network; a dot per test set."""
    import matplotlib.pyplot as plt

    shown = related[related["family"] == "any"]
    networks = list(shown["network"].unique())
    figure, ax = plt.subplots(figsize=(4.6, 0.5 + 0.42 * len(networks)), layout="constrained")
    for column, color, label in (("edges", "#1B6CA8", "edges"), ("non_edges", "#8A8A8A", "non-edges of equal degrees")):
        height = [networks.index(name) for name in shown["network"]]
        ax.scatter(100 * shown[column], height, s=9, color=color, alpha=0.5, linewidths=0)
        units = shown.groupby(["network", "unit"], sort=False)[column].mean().groupby("network", sort=False).mean()
        ax.scatter(100 * units[networks], range(len(networks)), s=34, color=color, label=label, zorder=3)
    ax.set_yticks(range(len(networks)), networks)
    ax.invert_yaxis()
    ax.set_xlim(left=-0.2)
    ax.set_xlabel("pairs that join two genes of one family (%)")
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    with written(path) as place:
        figure.savefig(place, dpi=110)
    plt.close(figure)
    return str(path)


def _grid(table: pd.DataFrame) -> str:
    """A table of strings in Markdown."""
    return markdown_table(table.columns, table.to_numpy().tolist())


def _write(table: pd.DataFrame, path: Path) -> str:
    with written(path) as place:
        table.to_csv(place, index=False, float_format="%.4f")
    return f"{path}: {len(table)} rows"


def _text(content: str, path: Path) -> str:
    with written(path) as place:
        place.write_text(content, encoding="utf-8")
    return str(path)


def _draw(
    results: pd.DataFrame, out: Path, model: str, data: Path | None, cache: Path, max_regulators: int | None
) -> Iterator[str]:
    """Figures of the results, and of how far a score is node degree."""
    for size, part in results.groupby("size"):
        best = part.loc[part["metric"].isin(_DRAWN), "best_floor"]
        ahead = part[(part["kind"] == "method") | part["method"].isin(best)]
        behind = part[(part["kind"] == "ablation") | part["method"].isin(_whole(part))]
        behind = behind[behind["network"].isin(_NETWORKS[:2])]
        drawn = [(metric, "all", ahead, metric) for metric in _DRAWN]
        drawn += [("auprc", "different families", ahead, "auprc_families")]
        drawn += [("auprc", "all", behind, "ablations")] if len(behind) else []
        for metric, pairs, rows, name in drawn:
            yield _saved(pl.benchmark(rows, metric=metric, pairs=pairs), out / f"{name}_{size}.png")
    where = {"path": data, "cache": cache, "max_regulators": max_regulators}
    method = "universal" if "universal" in set(results["method"]) else "ugrn"
    train, test = ("hESC", "STRING"), ("mESC", "STRING")
    pairs = bench.scored_pairs(method=method, model=model, train=train, test=test, **where)
    yield _saved(pl.degree_bias(pairs), out / "degree_bias.png")


def _whole(results: pd.DataFrame) -> set[str]:
    """Methods that have ablations, by the labels of these."""
    ablations = results.loc[results["kind"] == "ablation", "method"].str.split(", ").str[0]
    return set(ablations) & set(results.loc[results["kind"] == "method", "method"])


def _saved(axes: np.ndarray, path: Path) -> str:
    """The figure of some axes in a file."""
    import matplotlib.pyplot as plt

    figure = axes.flat[0].figure
    with written(path) as place:
        figure.savefig(place, dpi=110, bbox_inches="tight")
    plt.close(figure)
    return str(path)
