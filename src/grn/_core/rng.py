"""One way to randomness: ``rng`` arguments, with children keyed by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from grn._core import checks

RNGLike = int | np.integer | np.random.Generator | np.random.SeedSequence | None


def seed_of(rng: RNGLike) -> int:
    """Turn an ``rng`` argument into one integer seed (a Generator is advanced by one draw)."""
    if rng is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(rng, np.random.SeedSequence):
        return int(rng.generate_state(1)[0])
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**32))
    return checks.integer("rng", rng, least=0, most=None, note=" as seed, a numpy Generator or None")


def child(seed: int, *names: str) -> np.random.Generator:
    """Return a generator that depends on the seed and on names only, never on their order in the data."""
    key = hashlib.sha256("\x1f".join(names).encode()).digest()[:16]
    return np.random.default_rng([seed, int.from_bytes(key, "little")])


def sample_names(names: list[str], size: int, seed: int) -> list[int]:
    """Positions of ``size`` names, the same set whatever the order of ``names``.

    Every name draws a hash from the seed; the smallest hashes win. Positions come
    back in the order of the hashes.
    """
    prefix = f"{seed}\x1f".encode()
    ranked = sorted(range(len(names)), key=lambda i: hashlib.sha256(prefix + names[i].encode()).digest())
    return ranked[:size]


def name_codes(seed: int, purpose: str, names: Sequence[str]) -> np.ndarray:
    """A 64-bit number per name (n,), uint64, for :func:`pair_draws`: where loops over pairs of names would be slow."""
    prefix = f"{seed}\x1f{purpose}\x1f".encode()
    digests = b"".join(hashlib.sha256(prefix + name.encode()).digest()[:8] for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def pair_draws(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One number between 0 and 1 for every ordered pair of codes, as uniform draws that depend on the pair alone.

    Parameters
    ----------
    first, second
        Numbers of :func:`name_codes`, of shapes that broadcast.

    Returns
    -------
    ndarray
        float64, never 0 nor 1.
    """
    # the finaliser of splitmix64 (Steele et al. 2014), once per member, so that pairs in turn differ
    mixed = _mix(_mix(first) + second)
    draws: np.ndarray = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return draws


def _mix(codes: np.ndarray) -> np.ndarray:
    codes = codes + np.uint64(0x9E3779B97F4A7C15)
    codes = (codes ^ (codes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    codes = (codes ^ (codes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = codes ^ (codes >> np.uint64(31))
    return mixed
