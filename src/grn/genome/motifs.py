"""Motifs of transcription factors: which bases each prefers, and whose motif it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import MotifError
from grn._core.logging import hint
from grn._core.near import did_you_mean
from grn._kernels import motif_scores

# observations that a column of shares stands for, where the source does not say it
SITES = 100.0
_BASES = np.array(list("ACGT"))
# bases that a column prefers (more than half, twice the next one or the best two) as one letter
_PAIRS = {"AC": "M", "AG": "R", "AT": "W", "CG": "S", "CT": "Y", "GT": "K"}


@dataclass(frozen=True, eq=False)
class Motifs:
    """Some motifs, and the transcription factors that bind them.

    Parameters
    ----------
    names
        Name of every motif, each once.
    counts
        How often A, C, G and T were seen in each column, or their shares: an array (L, 4) per motif. Shares, which sum
        to 1, are taken for those of 100 observations.
    factors
        Symbols of the transcription factors of every motif; may be empty. A dimer has several.
    """

    names: tuple[str, ...]
    counts: tuple[np.ndarray, ...]
    factors: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        """Check names and matrices."""
        names = tuple(str(name) for name in self.names)
        if not names:
            raise MotifError("there are no motifs; pass at least one.")
        if not len(names) == len(self.counts) == len(self.factors):
            raise MotifError(
                f"{len(names)} names, {len(self.counts)} matrices and {len(self.factors)} lists of factors were "
                "passed; expected as many of each."
            )
        twice = sorted(name for name, n in pd.Series(names).value_counts().items() if n > 1)
        if twice:
            raise MotifError(
                f"{len(twice)} motifs occur more than once, for example {twice[:3]}; give each its own name."
            )
        matrices = tuple(_checked(name, matrix) for name, matrix in zip(names, self.counts, strict=True))
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "counts", matrices)
        object.__setattr__(self, "factors", tuple(tuple(map(str, listed)) for listed in self.factors))

    def __len__(self) -> int:
        """Number of motifs."""
        return len(self.names)

    def __repr__(self) -> str:
        """What there is."""
        n_factors = len({factor for listed in self.factors for factor in listed})
        return f"Motifs({len(self)} motifs of {n_factors} factors)"

    def select(self, names: Iterable[str] | None = None, *, factors: Iterable[str] | None = None) -> Motifs:
        """Take some motifs, by name or by factor, in the order they are in.

        Parameters
        ----------
        names
            Names of motifs; ``None`` for all.
        factors
            Symbols; motifs of at least one of them are taken. ``None`` for all.

        Returns
        -------
        Motifs
            Those that were asked for; the lists of factors stay whole.

        Raises
        ------
        MotifError
            If there is no motif of such a name, or none is left.
        """
        asked = set(self.names) if names is None else set(checks.names("names", names, what="names of motifs"))
        strange = sorted(asked - set(self.names))
        if strange:
            raise MotifError(f"there is no motif {strange[0]!r}.{did_you_mean(strange[0], self.names)}")
        wanted = None if factors is None else set(checks.names("factors", factors, what="symbols"))
        rows = [
            row
            for row, name in enumerate(self.names)
            if name in asked and (wanted is None or wanted & set(self.factors[row]))
        ]
        if not rows:
            listed = sorted({factor for some in self.factors for factor in some})[:5]
            raise MotifError(f"no motif of {sorted(wanted or [])[:5]} is there; factors are, for example, {listed}.")
        return self._at(rows)

    def to_frame(self) -> pd.DataFrame:
        """One row per motif and factor.

        Returns
        -------
        DataFrame
            ``motif`` and ``factor``, in the order of the motifs; motifs without a factor are not listed.
        """
        pairs = [(name, factor) for name, listed in zip(self.names, self.factors, strict=True) for factor in listed]
        return pd.DataFrame(pairs, columns=["motif", "factor"])

    def with_factors(self, factors: Mapping[str, Iterable[str]]) -> Motifs:
        """Say whose motifs they are.

        Parameters
        ----------
        factors
            Name of a motif -> symbols of its factors; motifs that are not named have none.

        Returns
        -------
        Motifs
            The same motifs with these factors.

        Raises
        ------
        MotifError
            If no motif is named.
        """
        given = checks.mapping("factors", factors, example="{'MA0035.5': ['GATA1']}")
        if not set(given) & set(self.names):
            raise MotifError(f"none of the motifs {list(self.names[:3])} is among {list(given)[:3]}; check the names.")
        strange = sorted(set(given) - set(self.names))
        if strange:
            hint("%d of %d names are no motifs here, for example %s", len(strange), len(given), strange[:3])
        listed = [checks.names("factors", given.get(name, ()), what="symbols") for name in self.names]
        return Motifs(self.names, self.counts, tuple(map(tuple, listed)))

    def consensus(self) -> list[str]:
        """The preferred base of every column, as words; two bases or any as IUPAC writes them.

        Returns
        -------
        list of str
            One word per motif.
        """
        return [
            "".join(_letter(column) for column in matrix / matrix.sum(axis=1, keepdims=True)) for matrix in self.counts
        ]

    def log_odds(self, background: Sequence[float] | np.ndarray, *, pseudocount: float = 1.0) -> list[np.ndarray]:
        r"""Scores of the bases in every column, in bits.

        .. math:: s_{lb} = \log_2 \frac{n_{lb} + k q_b}{(\sum_b n_{lb} + k)\, q_b}

        Parameters
        ----------
        background
            Share q of A, C, G and T by chance; they sum to 1.
        pseudocount
            Number k of further observations per column that follow the background; above 0, or a base that was never
            seen would rule a word out.

        Returns
        -------
        list of ndarray
            One (L, 4) per motif.

        Raises
        ------
        MotifError
            If the background is malformed.
        ParameterError
            If ``pseudocount`` is out of range.
        """
        shares = checked_background(background)
        checks.number("pseudocount", pseudocount, above=0)
        return [motif_scores.log_odds(matrix, shares, pseudocount) for matrix in self.counts]

    def _at(self, rows: Sequence[int]) -> Motifs:
        return Motifs(*(tuple(part[row] for row in rows) for part in (self.names, self.counts, self.factors)))


def check_motifs(motifs: object) -> None:
    """Refuse what is no :class:`Motifs`."""
    if not isinstance(motifs, Motifs):
        raise MotifError(
            f"motifs has type {type(motifs).__name__}; pass grn.pp.motifs('jaspar'), or those of a file: "
            "grn.pp.motifs(path)."
        )


def checked_background(background: Sequence[float] | np.ndarray) -> np.ndarray:
    """Shares of A, C, G and T, made the same on both strands."""
    try:
        shares = np.asarray(background, dtype=np.float64)
    except (TypeError, ValueError):
        shares = np.zeros(0)
    if shares.shape != (4,) or not np.isfinite(shares).all() or (shares <= 0).any() or abs(shares.sum() - 1) > 1e-3:
        raise MotifError(
            f"background={checks.shown(background)}; pass the shares of A, C, G and T, all above 0, that sum to 1."
        )
    shares = (shares + shares[::-1]) / 2  # what is A on one strand is T on the other
    return shares / shares.sum()


def _checked(name: str, matrix: np.ndarray) -> np.ndarray:
    """Counts (L, 4) as floats; shares become counts."""
    try:
        counts = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MotifError(f"the matrix of {name} holds no numbers ({error}).") from error
    if counts.ndim != 2 or counts.shape[1] != 4 or not len(counts):
        raise MotifError(f"the matrix of {name} has the shape {counts.shape}; expected (columns, 4): A, C, G, T.")
    total = counts.sum(axis=1)
    if not np.isfinite(counts).all() or (counts < 0).any() or (total <= 0).any():
        raise MotifError(f"the matrix of {name} has negative or missing numbers, or a column without any observation.")
    if np.allclose(total, 1, atol=0.02):
        counts *= SITES / total[:, None]
    counts.flags.writeable = False
    return counts


def _letter(share: np.ndarray) -> str:
    order = np.argsort(-share, kind="stable")
    if share[order[0]] > 0.5 and share[order[0]] > 2 * share[order[1]]:
        return str(_BASES[order[0]])
    if share[order[:2]].sum() > 0.75:
        return _PAIRS["".join(sorted(_BASES[order[:2]]))]
    return "N"
