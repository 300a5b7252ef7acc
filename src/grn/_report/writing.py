"""The report of an object, written to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.files import output_file, written
from grn._core.logging import one_voice
from grn._report import sections
from grn._report.cautions import IMMEDIATE, cautions
from grn._report.compared import CORRELATION, agreement, correlations, floors
from grn._report.markup import Markup, tag
from grn._report.methods_text import methods_text, references, versions
from grn._report.page import page
from grn._report.subject import Inferred, Subject, read_subject

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from grn.network import Network

ALWAYS = "An edge is a prediction, not an observation: what a network says is to be tested, not believed."


@one_voice
def report(
    data: AnnData | MuData | Network | pd.DataFrame,
    *,
    file: str | Path = "report.html",
    keys: str | Sequence[str] | None = None,
    groupby: str | None = None,
    activity: str | None = None,
    rna: str = "rna",
    n_regulators: int = 10,
    n_edges: int = 20,
    top: int = 100,
    title: str | None = None,
    show: bool = False,
) -> Path:
    r"""Write what an object holds of networks as one page: what was inferred, how, and what to keep in mind.

    The page is a single file with its figures in it. It has sections on what to keep in mind (few cells, lost genes,
    values that are odd, edges that nothing tests, artefacts), genes that were lost, size, leading regulators and
    strongest edges of every network, confidence, what simpler answers have in common with it, agreement of the
    networks, activities of regulators, and a paragraph for the methods section with what to cite. It prints on A4.

    Parameters
    ----------
    data
        AnnData or MuData with networks in ``uns``, a :class:`~grn.Network`, or an edge table with columns ``source``,
        ``target`` and ``weight``.
    file
        File to write, ``.html``.
    keys
        Entries of ``uns`` with the networks; ``None`` takes all.
    groupby
        Column of ``obs`` with the groups whose activities are shown; by default the one that activities or a network
        were computed with.
    activity
        Key of ``obsm`` with activities of regulators; ``None`` takes ``"score_ulm"`` where the object has it.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``data`` is one.
    n_regulators
        Regulators listed for every group.
    n_edges
        Edges listed for every network.
    top
        Number :math:`k` of strongest edges: they are compared with those of other networks and of simpler answers, and
        regulators are listed by how many of them they have, then by strength.
    title
        Title of the page.
    show
        Open the page in the default browser.

    Returns
    -------
    pathlib.Path
        The file. The same input gives the same bytes, with the same versions of packages.

    Raises
    ------
    ResultNotFoundError
        The object holds no network, none under one of ``keys``, or no activities under ``activity``.
    GroupError
        ``obs`` has no column ``groupby``.
    ParameterError
        An argument is out of range.
    StorageError
        Nothing can be written there; a file of that name is then as before.

    Notes
    -----
    *Shared by chance* is :math:`C_{ab} (k_a / C_a) (k_b / C_b)`, see :func:`grn.get.agreement`. Few cells are less than
    100 in a group: the standard error of the correlation of two unrelated genes is :math:`1 / \sqrt{n - 3}`.
    Correlations of up to 5 million pairs are computed for comparison, in one pass over the cells; the rest is counting.
    The content security policy of the page forbids scripts and every connection.

    Examples
    --------
    >>> import grn, tempfile
    >>> adata = grn.datasets.toy(n_cells=120, n_regulators=4, n_targets=20)
    >>> grn.tl.infer_network(adata, method="ridge")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = grn.report(adata, file=f"{folder}/report.html")
    ...     path.name, "Regulators of grn" in path.read_text(encoding="utf-8")
    ('report.html', True)
    """
    path = output_file(file, name="file")
    if path.suffix.lower() not in {".html", ".htm"}:
        raise ParameterError(f"file={str(file)!r} does not end in .html; pass file='report.html'.")
    checks.flag("show", show)
    n_regulators = checks.integer("n_regulators", n_regulators, least=1)
    n_edges = checks.integer("n_edges", n_edges, least=1)
    top = checks.integer("top", top, least=1)
    subject = read_subject(data, keys=keys, groupby=groupby, activity=activity, rna=rna)
    heading = _title(subject) if title is None else str(title)
    text = page(heading, ALWAYS, _sections(subject, n_regulators, n_edges, top), f"Written with {versions()}.")
    with written(path, name="file") as place:
        place.write_text(text, encoding="utf-8", newline="\n")
    if show:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return path


def _title(subject: Subject) -> str:
    if len(subject.networks) > 1:
        return f"{len(subject.networks)} gene regulatory networks"
    method = subject.networks[0].method
    return f"Gene regulatory network by {method}" if method else "Gene regulatory network"


def _sections(subject: Subject, n_regulators: int, n_edges: int, top: int) -> list[tuple[str, str, Sequence[Any]]]:
    """Name, heading and parts of all sections that have something to say."""
    correlated = {inferred.name: correlations(inferred) for inferred in subject.networks}
    beside = {inferred.name: floors(inferred, correlated[inferred.name], top) for inferred in subject.networks}
    found = cautions(subject, _shared_parts(beside, top), top)
    paragraph, cited = methods_text(subject, dissociated=any(any(name in c.text for name in IMMEDIATE) for c in found))
    made: list[tuple[str, str, Sequence[Any]]] = [
        ("contents", "What was inferred", [sections.contents(subject)]),
        ("cautions", "What to keep in mind", [sections.warned(found)]),
    ]
    genes = sections.genes(subject)
    if genes is not None:
        made.append(("genes", "Genes", [genes]))
    for number, inferred in enumerate(subject.networks, 1):
        made.append(
            (
                f"network-{number}",
                f"Network {inferred.title}",
                _network(inferred, beside[inferred.name], n_regulators, n_edges, top),
            )
        )
    shown = sections.activity(subject)
    if shown is not None:
        made.append(("activity", "Activity of regulators", [shown]))
    agreed = _agreement(subject, correlated, top)
    if agreed is not None:
        made.append(("agreement", "Agreement of networks", [agreed]))
    made.append(("methods", "For the methods section", [paragraph]))
    made.append(("references", "References", [references(cited)]))
    return made


def _network(inferred: Inferred, beside: pd.DataFrame, n_regulators: int, n_edges: int, top: int) -> list[Markup]:
    description = inferred.record.description if inferred.record is not None else ""
    return [
        *([tag("p", f"{inferred.method}: {description}.")] if description else []),
        sections.size(inferred),
        sections.network_figure(inferred),
        sections.regulators(inferred, n_regulators, top),
        sections.edges_listed(inferred, n_edges),
        tag("h3", "Confidence"),
        sections.confidence(inferred),
        tag("h3", "Beside simpler answers"),
        sections.simpler(beside, inferred),
        tag("h3", "How it was made"),
        sections.provenance(inferred),
    ]


def _shared_parts(beside: dict[str, pd.DataFrame], top: int) -> dict[str, float]:
    """By network the part of its strongest edges that are among the strongest correlations."""
    parts = {}
    for name, table in beside.items():
        row = table[table["Measure"].str.startswith("shared of")]
        if len(row):
            parts[name] = float(row["Value"].iloc[0]) / int(row["Measure"].iloc[0].split()[3])
    return parts


def _agreement(subject: Subject, correlated: dict[str, Network | None], top: int) -> Markup | None:
    """The table of all networks, with correlation beside the first that it was computed for."""
    if len(subject.networks) < 2:
        return None
    networks = {inferred.name: inferred.network for inferred in subject.networks}
    first = next((network for network in correlated.values() if network is not None), None)
    if first is not None and all(inferred.method != "correlation" for inferred in subject.networks):
        networks[CORRELATION] = first
    return sections.agreed(agreement(networks, top))
