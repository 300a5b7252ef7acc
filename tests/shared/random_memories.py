"""A small random memory, the architecture of ``mini``, for tests that do not ask what it has learned."""

import torch

from grn.models.memory import Memory, MemoryConfig, MemoryNetwork


def random_memory(genes, *, seed=0, name="small", uneven=False, dtype=torch.float32, sha256=None, **changes):
    """A memory of twelve states in three data sets.

    ``uneven`` states and data sets count in different degree; ``changes`` are fields of the configuration, or
    ``max_genes``.
    """
    given = {"max_genes": changes.pop("max_genes")} if "max_genes" in changes else {}
    sizes = {"n_states": 12, "n_sets": 3, "d": 8, "crowding": 10.0} | changes
    network, draw = MemoryNetwork(MemoryConfig(len(genes), **sizes)), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        network.embedding.normal_(std=0.7, generator=draw)
        network.states.normal_(std=0.7, generator=draw)
        if uneven:
            network.share.uniform_(0.1, 1.0, generator=draw)
            network.weight.uniform_(0.2, 1.0, generator=draw)
        network.set_of.copy_(torch.arange(sizes["n_states"]) * sizes["n_sets"] // sizes["n_states"])
    return Memory(network.to(dtype), genes, name=name, sha256=f"{seed:064d}" if sha256 is None else sha256, **given)
