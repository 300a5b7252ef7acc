"""Every gene regressed on the leading principal components of all the others, without one decomposition per gene."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from grn._kernels.arrays import arrays_on

_STEPS = 80  # bisection alone would need this many; the rational steps need about six
_CACHE = 16 * 2**20  # bytes of a block of genes beyond which processors are slower, not faster
_TINY = 1e-25  # in place of coordinates that are zero, whose poles would vanish


class Spectrum(NamedTuple):
    """Standardised values by their decomposition.

    Parameters
    ----------
    values
        Squared singular values (r,), falling, all above rounding.
    coordinates
        Genes in the basis of the left singular vectors (r, G): ``coordinates.T @ coordinates`` are the products of
        the standardised genes. Zero for constant genes.
    """

    values: np.ndarray
    coordinates: np.ndarray


def spectrum(values: np.ndarray, counts: np.ndarray | None = None, *, device: str | None = None) -> Spectrum:
    """Decompose cells that are drawn once or more often.

    Parameters
    ----------
    values
        Expression (m, G) of distinct cells; m is best at most G.
    counts
        How often each cell was drawn (m,); once by default.
    device
        Torch device; ``None`` computes with numpy.

    Returns
    -------
    Spectrum
        Of the genes scaled to mean 0 and standard deviation 1 (denominator n - 1, n the number of draws).
        Cost: m^2 G + m^3.
    """
    where = arrays_on(device)
    known = where.put(values)
    weight = where.put(np.ones(len(values)) if counts is None else counts)
    mean = weight @ known / weight.sum()
    scaled = (known - mean) * where.xp.sqrt(weight)[:, None]  # (m, G)
    inverse = _inverse_scale(where.take((scaled**2).sum(0)), where.take(mean), float(weight.sum()))
    scaled *= where.put(inverse)
    found, basis = where.xp.linalg.eigh(scaled @ scaled.T)
    return _kept(where.take(found), where.take(basis.T @ scaled))


def spectrum_of_products(
    products: np.ndarray, mean: np.ndarray, count: float, *, device: str | None = None
) -> Spectrum:
    """Decompose centred products (G, G) of ``count`` draws, for more cells than genes. Cost: G^3."""
    inverse = _inverse_scale(np.diag(products), mean, count)
    where = arrays_on(device)
    values, basis = map(where.take, where.xp.linalg.eigh(where.put(products * inverse * inverse[:, None])))
    return _kept(values, basis.T * np.sqrt(np.maximum(values, 0.0))[:, None] * (inverse > 0.0))


def _inverse_scale(squares: np.ndarray, mean: np.ndarray, count: float) -> np.ndarray:
    """One over the standard deviation; 0 for genes of which only rounding varies."""
    noise = (1e-7 * np.abs(mean)) ** 2 * count
    varies = squares > np.maximum(noise, 0.0)
    return np.where(varies, np.sqrt((count - 1.0) / np.where(varies, squares, 1.0)), 0.0)


def _kept(found: np.ndarray, coordinates: np.ndarray) -> Spectrum:
    limit = found[-1] * len(found) * np.finfo(np.float64).eps if len(found) else 0.0
    keep = np.flatnonzero(found > max(limit, 0.0))[::-1]
    return Spectrum(found[keep], coordinates[keep])


def coefficients(
    decomposed: Spectrum, *, n_components: int = 3, memory: int = 256 * 2**20, device: str | None = None
) -> np.ndarray:
    r"""Regress every gene on the first principal components of all other genes.

    With the standardised values X of the other genes of gene j and their leading singular triplets (U, s, V), the
    coefficients are ``V s^-1 U^T x_j``. The products of the cells without gene j are those with it minus
    :math:`x_j x_j^T`, so the triplets of all genes follow from one decomposition and the roots of

    .. math:: 1 = \sum_i \frac{z_i^2}{\lambda_i - \mu}

    one between each two neighbouring :math:`\lambda`, where z are the coordinates of gene j.

    Parameters
    ----------
    decomposed
        From :func:`spectrum` or :func:`spectrum_of_products`, rank r.
    n_components
        Number of principal components; at most r - 1 are used.
    memory
        Bytes for the block of genes worked on; changes speed only.
    device
        Torch device; ``None`` computes with numpy.

    Returns
    -------
    ndarray
        (G, G): row the gene that is explained, column the gene that explains; diagonal 0. Exact up to rounding.
        Cost: r G per component and step of the root search, and r G^2.

    Notes
    -----
    Rank-one change: Golub 1973 (SIAM Review 15:318); rational steps of Li 1993 (LAPACK Working Note 89), the origin
    moved to the nearer pole so that differences keep their precision.
    """
    where = arrays_on(device)
    xp, values, coordinates = where.xp, where.put(decomposed.values), where.put(decomposed.coordinates)
    n_genes = coordinates.shape[1]
    order = min(n_components, len(decomposed.values) - 1)
    coefficient = where.zeros(n_genes, n_genes)
    memory = min(memory, _CACHE) if device is None else memory
    step = max(1, memory // (8 * 8 * max(1, len(decomposed.values))))
    for start in range(0, n_genes if order > 0 else 0, step):
        block = coordinates[:, start : start + step].T
        coefficient[start : start + step] = _solve(xp, values, block, order) @ coordinates
    result = where.take(coefficient)
    np.fill_diagonal(result, 0.0)
    return result


def strongest(weights: np.ndarray, quantile: float, varies: np.ndarray | None = None) -> sp.csr_array:
    """Divide by the largest absolute value and drop what lies below a quantile of all, the diagonal included.

    Parameters
    ----------
    weights
        Coefficients (G, G).
    quantile
        Share that is dropped.
    varies
        Genes that took part (G,) bool; the others, whose coefficients are 0, do not count. All by default.
    """
    size = np.abs(weights)
    top = float(size.max()) if size.size else 0.0
    if not top > 0.0:
        return sp.csr_array(weights.shape, dtype=np.float64)
    counted = size if varies is None or varies.all() else size[np.ix_(varies, varies)]
    cut = max(float(np.quantile(counted, quantile)), np.finfo(np.float64).tiny)
    places = np.flatnonzero(size >= cut)
    rows, columns = np.divmod(places, weights.shape[1])
    starts = np.searchsorted(rows, np.arange(weights.shape[0] + 1))
    return sp.csr_array((weights.ravel()[places] / top, columns, starts), shape=weights.shape)


def _solve(xp: Any, values: Any, block: Any, order: int) -> Any:
    """Coefficients (b, r) in the basis of the decomposition for a block of genes (b, r)."""
    block = xp.where(abs(block) < _TINY, _TINY * xp.ones_like(block), block)
    squares = block * block
    total = xp.zeros_like(block)
    for k in range(order):
        if float(values[k] - values[k + 1]) <= 4e-16 * float(values[0]):
            continue  # of two equal values one vector is orthogonal to the gene, and adds nothing
        origin, root = _root(xp, values, squares, k)
        gap = (values[None, :] - origin[:, None]) - root[:, None]
        inverse = 1.0 / gap
        norm = (squares * inverse * inverse).sum(-1) * (origin + root)
        total += block * inverse / norm[:, None]
    return total


def _root(xp: Any, values: Any, squares: Any, k: int) -> tuple[Any, Any]:
    """The root between values k and k + 1: the nearer of the two, and the distance from it."""
    upper, lower = values[k], values[k + 1]
    width = float(upper - lower)
    middle = (squares / (values - (lower + width / 2.0))).sum(-1) < 1.0
    ones = xp.ones_like(squares[:, 0])
    origin = xp.where(middle, upper * ones, lower * ones)
    high = xp.where(middle, 0.0 * ones, width * ones)
    low = high - width
    poles = (low, high)
    root = xp.where(middle, -0.5 * width * ones, 0.5 * width * ones)
    low, high = xp.where(middle, root, low), xp.where(middle, high, root)
    distance = values[None, :] - origin[:, None]
    limit = 4.0 * np.finfo(np.float64).eps
    for _ in range(_STEPS):
        inverse = 1.0 / (distance - root[:, None])
        part = squares * inverse
        above, below = part[:, : k + 1].sum(-1), -part[:, k + 1 :].sum(-1)
        slopes = tuple(
            xp.einsum("ij,ij->i", part[:, half], inverse[:, half]) for half in (slice(k + 1), slice(k + 1, None))
        )
        rest = 1.0 - above + below
        low, high = xp.where(rest > 0, root, low), xp.where(rest > 0, high, root)
        new = _step(xp, poles, root, (above, below), slopes)
        outside = ~((new > low) & (new < high))
        new = xp.where(outside, 0.5 * (low + high), new)
        done = (abs(rest) <= limit * (1.0 + above + below)) | (abs(new - root) <= limit * abs(root))
        root = xp.where(done, root, new)
        if bool(done.all()):
            break
    return origin, root


def _step(xp: Any, poles: tuple[Any, Any], root: Any, sums: tuple[Any, Any], slopes: tuple[Any, Any]) -> Any:
    """Root of the function with two poles that has the values and slopes of both sums."""
    low, high = poles
    to_high, to_low = high - root, root - low
    q, v = slopes[0] * to_high**2, slopes[1] * to_low**2
    c = 1.0 - (sums[0] - slopes[0] * to_high) + (sums[1] - slopes[1] * to_low)
    linear = c * (low + high) - q - v
    constant = c * low * high - q * low - v * high
    under = linear**2 - 4.0 * c * constant
    half = linear + xp.where(linear >= 0, 1.0, -1.0) * xp.sqrt(xp.where(under > 0, under, xp.zeros_like(under)))
    half = xp.where(half == 0, _TINY * xp.ones_like(half), half)
    first = 2.0 * constant / half
    second = half / xp.where(c == 0, _TINY * xp.ones_like(c), 2.0 * c)
    return xp.where((first > low) & (first < high), first, second)
