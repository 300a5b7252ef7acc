"""``grn bench``: the standard tables, written to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from grn import bench, pl
from grn._core.errors import DataNotFoundError

_NETWORKS = ("STRING", "Non-Specific", "Specific")


def benchmark(
    out: Path,
    *,
    quick: bool = False,
    labels: bool = False,
    model: str = "mini",
    sizes: tuple[int, ...] = (500,),
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
        Only what the labels alone give away: floors and leakage.
    model
        Backbone.
    sizes
        BEELINE's sizes.
    data
        Folder with ``beeline/``, ``expression/``, ``priors/`` and ``perturbation/``.
    cache
        Folder of features and finished cells; ``out/cache`` by default.
    n_jobs
        Processes.
    """
    out.mkdir(parents=True, exist_ok=True)
    shared, floors = bench.leakage(path=data), bench.label_floors(path=data)
    yield _write(shared, out / "leakage.csv")
    yield _write(floors, out / "label_floors.csv")
    (out / "labels.md").write_text(_labels(shared, floors))
    yield str(out / "labels.md")
    if labels:
        return
    settings = {"max_regulators": 100} if quick else {}
    parts = []
    for size in sizes:
        for train, test in _plan():
            where = {"path": data, "cache": cache or out / "cache", "n_jobs": n_jobs}
            parts.append(bench.run(model=model, train=train, test=test, size=size, **where, **settings))
            yield f"{train[0]}/{train[1]} at size {size}: done"
    results = pd.concat(parts, ignore_index=True)
    results.to_parquet(out / "results.parquet", index=False)
    yield f"{out / 'results.parquet'}: {len(results)} rows"
    (out / "verdict.md").write_text(bench.verdict(results) + "\n")
    tables = "\n".join(bench.markdown(results, metric=metric) for metric in ("auprc", "auprc_regulator"))
    (out / "results.md").write_text(f"# Benchmark of {model}\n\n{tables}")
    yield from (str(out / name) for name in ("verdict.md", "results.md"))
    yield from _draw(results, out, model, data, cache or out / "cache", settings.get("max_regulators"))
    try:
        screens = bench.perturbation.suite(path=data, cache=cache or out / "cache")
    except DataNotFoundError as error:
        yield f"no perturbation suite: {error}"
        return
    yield _write(screens, out / "perturbation.csv")
    (out / "perturbation_table.md").write_text(bench.perturbation.markdown(screens))
    yield str(out / "perturbation_table.md")


def _plan() -> list[tuple[tuple[str, str], list[str] | list[tuple[str, str]]]]:
    """Training sets and what each is tested on: all from hESC as in the paper, hESC itself from hHEP."""
    others = ["hHEP", "mDC", "mESC", "mHSC-E", "mHSC-GM", "mHSC-L"]
    plan: list[tuple[tuple[str, str], list[str] | list[tuple[str, str]]]] = []
    for network in _NETWORKS:
        plan += [(("hESC", network), others), (("hHEP", network), ["hESC"])]
    # there is one such network only, so its translators come from the other directed TF-target network
    return [*plan, (("hESC", "Non-Specific"), [("mESC", "Lofgof")])]


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


def _grid(table: pd.DataFrame) -> str:
    """A table of strings in Markdown."""
    lines = [table.columns, ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _write(table: pd.DataFrame, path: Path) -> str:
    table.to_csv(path, index=False, float_format="%.4f")
    return f"{path}: {len(table)} rows"


def _draw(
    results: pd.DataFrame, out: Path, model: str, data: Path | None, cache: Path, max_regulators: int | None
) -> Iterator[str]:
    """Figures of the results, and of how far a score is node degree."""
    import matplotlib.pyplot as plt

    for size, part in results.groupby("size"):
        for metric in ("auprc", "auprc_regulator"):
            figure = pl.benchmark(part, metric=metric).flat[0].figure
            path = out / f"{metric}_{size}.png"
            figure.savefig(path, dpi=110, bbox_inches="tight")
            plt.close(figure)
            yield str(path)
    where = {"path": data, "cache": cache, "max_regulators": max_regulators}
    pairs = bench.scored_pairs(model=model, train=("hESC", "STRING"), test=("mESC", "STRING"), **where)
    figure = pl.degree_bias(pairs)[0].figure
    figure.savefig(out / "degree_bias.png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    yield str(out / "degree_bias.png")
