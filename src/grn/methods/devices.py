"""Where a method computes: what was asked for, what its record can use, what this machine has."""

from __future__ import annotations

from grn._core.device import accelerator, resolve_device
from grn._core.errors import ParameterError
from grn._core.logging import logger
from grn._core.settings import settings
from grn.methods.record import Method


def device_of(record: Method, asked: str = "auto") -> str | None:
    """Device of a task; ``None`` for the processor.

    Parameters
    ----------
    record
        The method.
    asked
        ``"auto"``, ``"cpu"`` or a torch device. ``"auto"`` takes what ``grn.settings.device`` says where the method can
        use that, else the processor.

    Raises
    ------
    ParameterError
        If the device is unknown, is not there, or is of a kind that the method cannot compute on.
    """
    wanted = settings.device if asked == "auto" and record.devices else asked
    if wanted == "cpu":
        return None
    if wanted == "auto":
        return accelerator(record.devices)
    kind = resolve_device(wanted).type
    if kind == "cpu":
        return None
    if kind in record.devices:
        return wanted
    if record.devices and asked != "auto":
        raise ParameterError(
            f"device={asked!r}: method {record.name!r} computes in 64-bit numbers, which this kind of device does not "
            f"have; use device='cpu' or one of: {', '.join(record.devices)}."
        )
    if not record.devices and not record.reads_model:
        logger.warning("method %r computes on the processor: it has no use for device=%r", record.name, asked)
    return None
