"""What a file of parameters may claim: nothing beyond its own size, and only numbers that mean something."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from grn._core import checks
from grn._core.errors import WeightsError

# largest value of a number in a configuration; sizes of a network follow from the shapes of its parameters
MOST_GENES = 1_000_000
_MOST: Mapping[str, float] = {"n_bins": 2**16, "layer_norm_eps": 1.0, "max_genes": MOST_GENES}
# a file may say the same numbers twice, as of parameters that are tied
_TIMES, _ROOM = 2, 2**20


def number(
    config: Mapping[str, Any],
    key: str,
    source: object,
    *,
    kind: type = int,
    default: Any = None,
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A number from a configuration.

    Parameters
    ----------
    config, key, source
        Where it stands, and what it stands in, for the message.
    kind
        ``int`` or ``float``.
    default
        Taken where it is missing.
    least, most
        Its range: by default positive, and up to what is sensible for a number of this name.

    Raises
    ------
    WeightsError
        If it is missing without default, no number, or out of its range.
    """
    value = config.get(key, default)
    most = _MOST.get(key, 2**31 - 1) if most is None else most
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    inside = plain and (value > 0 if least is None else value >= least) and value <= most
    if not inside or not math.isfinite(value) or (kind is int and int(value) != value):
        problem = "is missing" if key not in config else f"is {checks.shown(value)}"
        wanted = f"a positive {kind.__name__}" if least is None else f"{kind.__name__} of at least {least:g}"
        raise WeightsError(f"{key!r} {problem} in the configuration of {source}; expected {wanted}, at most {most:g}.")
    return kind(value)


def parsed(text: str | bytes, source: object) -> Any:
    """Content of a JSON text.

    Raises
    ------
    WeightsError
        If it is no JSON, or nests too deeply.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{source} is not readable JSON ({error}); fetch it again.") from error


def check_panel(max_genes: int) -> int:
    """How many genes are shown together."""
    return checks.integer("max_genes", max_genes, least=2, most=MOST_GENES, note=", of genes shown together")


def panel_size(max_genes: int | None, most: int) -> int:
    """As many genes as the positions of a checkpoint hold, or fewer if asked for."""
    if max_genes is None:
        return most
    return checks.integer("max_genes", max_genes, least=2, most=most, note=", the positions of the checkpoint")


class _Undrawn(TorchFunctionMode):
    """Networks made inside draw no first values, which without memory would only load the compiler of torch."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Calls of ``torch.nn.init`` return their tensor as it is."""
        given = kwargs or {}
        if getattr(func, "__module__", None) == torch.nn.init.__name__:
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


@contextmanager
def outline() -> Iterator[None]:
    """Networks made inside have shapes and take no memory, until parameters that fit are put into them."""
    with torch.device("meta"), _Undrawn():
        yield


def put(module: torch.nn.Module, tensors: Mapping[str, Tensor], source: object) -> None:
    """Put tensors of the right names and shapes into a module as its parameters.

    Raises
    ------
    WeightsError
        If one holds NaN or infinite numbers.
    """
    wanted = module.state_dict()
    state = {key: value.detach().to(wanted[key].dtype) for key, value in tensors.items()}
    check_finite(state, source)
    if not any(tensor.is_meta for tensor in wanted.values()):
        module.load_state_dict(state)
        return
    seen: set[int] = set()
    for key, value in state.items():
        place = value.untyped_storage().data_ptr()
        if place in seen or value.untyped_storage().nbytes() > value.nbytes or not value.is_contiguous():
            state[key] = value.clone(memory_format=torch.contiguous_format)
        seen.add(place)
    module.load_state_dict(state, assign=True)


def check_finite(tensors: Mapping[str, Tensor], source: object) -> None:
    """Refuse parameters that are no numbers.

    Raises
    ------
    WeightsError
        Naming the first of them.
    """
    strange = [key for key, tensor in tensors.items() if not _finite(tensor)]
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise WeightsError(
            f"{source} holds NaN or infinite numbers in {strange[0]}{more}, so nothing it predicts would be a number. "
            "Fetch it again, or train it again with a lower learning rate."
        )


def _finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    if torch.isfinite(tensor.sum()):  # the quick way; a sum of large numbers may be infinite on its own
        return True
    low, high = tensor.aminmax()
    return bool(torch.isfinite(low) and torch.isfinite(high))


def check_room(tensors: Mapping[str, Tensor], size: int, source: object) -> None:
    """Refuse tensors that are larger than the file they came from.

    Raises
    ------
    WeightsError
        If one of them is sparse, without numbers, or seen more often than the file can hold it.
    """
    odd = [key for key, tensor in tensors.items() if tensor.layout != torch.strided or tensor.device.type != "cpu"]
    if odd:
        raise WeightsError(f"{odd[0]!r} in {source} is no plain tensor; save the parameters as dense tensors.")
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if total > _TIMES * size + _ROOM:
        raise WeightsError(
            f"the tensors in {source} are {total} bytes, the file is {size}: they show the same numbers over and over. "
            "Fetch it again from the model's authors."
        )
