"""One way to randomness: ``rng`` arguments, with children keyed by name."""

from __future__ import annotations

import hashlib

import numpy as np

from grn._core.errors import ParameterError

RNGLike = int | np.integer | np.random.Generator | np.random.SeedSequence | None


def seed_of(rng: RNGLike) -> int:
    """Turn an ``rng`` argument into one integer seed (a Generator is advanced by one draw)."""
    if rng is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(rng, bool):
        raise ParameterError(f"rng={rng!r} is a bool; pass an integer seed, a numpy Generator or None.")
    if isinstance(rng, int | np.integer):
        if rng < 0:
            raise ParameterError(f"rng={rng} is negative; seeds are non-negative integers.")
        return int(rng)
    if isinstance(rng, np.random.SeedSequence):
        return int(rng.generate_state(1)[0])
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**32))
    raise ParameterError(f"rng has type {type(rng).__name__}; pass an integer seed, a numpy Generator or None.")


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
