"""Vectors of several targets at once inside compiled loops: one row of a C-ordered array (n, L), held in registers.

numba compiles scalars, and whether LLVM makes vectors of a loop over lanes hangs on what it can prove of arrays. These
few operations say it outright. ``lanes`` is a tuple of L zeros throughout, since numba knows the length of a tuple.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.typing import templates
from numba.extending import intrinsic, lower_builtin, models, register_model

# which numba does not annotate
_typing: Any = templates
_lower: Any = lower_builtin

Array = np.ndarray
# cells, starts, common and sizes of grn._kernels.bins.Bins
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Lanes = tuple[int, ...]
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile on first call, for all later processes as well, without Python's lock.

    numba takes code from its cache while the file of the function is the same, though code of other files may be
    inlined there. Whoever edits a function that another file calls sets ``NUMBA_CACHE_DIR`` to a new folder, or touches
    the callers; an installation writes all files anew.
    """
    made: Any = njit(nogil=True, error_model="numpy", cache=True)(function)
    return cast(Function, made)


class Vector(types.Type):
    """L numbers or truths.

    Parameters
    ----------
    kind
        ``"float"``, ``"byte"`` or ``"mask"``.
    width
        L.
    """

    def __init__(self, kind: str, width: int) -> None:
        self.kind, self.width = kind, width
        cast(Any, super()).__init__(name=f"Vector({kind}, {width})")

    @property
    def ir(self) -> ir.VectorType:
        """The type in LLVM."""
        element = {"float": ir.FloatType(), "byte": ir.IntType(8), "int": ir.IntType(32), "mask": ir.IntType(1)}
        return ir.VectorType(element[self.kind], self.width)


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Vector) -> None:
        cast(Any, super()).__init__(manager, of, of.ir)


_KINDS = {types.float32: "float", types.uint8: "byte", types.int32: "int"}


def _address(context: Any, builder: Any, array_type: Any, array: Any, row: Any, vector: Vector) -> Any:
    """Where a row begins: the array is taken as flat rows of L."""
    data = context.make_array(array_type)(context, builder, array).data
    start = builder.mul(row, ir.Constant(row.type, vector.width))
    return builder.bitcast(builder.gep(data, [start]), vector.ir.as_pointer())


def _load(_context: Any, array: Any, row: Any, lanes: Any) -> tuple[Any, Callable[..., Any]]:
    """Row of an array, counted over all its leading axes."""
    of = Vector(_KINDS[array.dtype], len(lanes))

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        vector = builder.load(_address(context, builder, sig.args[0], args[0], at, of))
        vector.align = array.dtype.bitwidth // 8
        return vector

    return of(array, row, lanes), code


load: Any = intrinsic(_load)


def _store(_context: Any, array: Any, row: Any, vector: Any) -> tuple[Any, Callable[..., Any]]:
    """Write a row of an array."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        written = builder.store(args[2], _address(context, builder, sig.args[0], args[0], at, sig.args[2]))
        written.align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, row, vector), code


store: Any = intrinsic(_store)


def _splat(builder: Any, value: Any, of: Vector) -> Any:
    vector = ir.Constant(of.ir, ir.Undefined)
    for lane in range(of.width):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
    return vector


def _filled(kind: str, number: Any) -> Any:
    def typed(_context: Any, value: Any, lanes: Any) -> tuple[Any, Callable[..., Any]]:
        of = Vector(kind, len(lanes))

        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return _splat(builder, context.cast(builder, args[0], sig.args[0], number), of)

        return of(value, lanes), code

    typed.__name__ = f"{kind}s"
    made: Any = intrinsic(typed)
    return made


floats = _filled("float", types.float32)
bytes_ = _filled("byte", types.uint8)
ints = _filled("int", types.int32)


def _where(_context: Any, mask: Any, yes: Any, no: Any) -> tuple[Any, Callable[..., Any]]:
    """One or the other by lane."""

    def code(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return yes(mask, yes, no), code


where: Any = intrinsic(_where)


# of floats, and of anything else
_ARITHMETIC = {
    operator.add: ("fadd", "add"),
    operator.sub: ("fsub", "sub"),
    operator.mul: ("fmul", "mul"),
    operator.truediv: ("fdiv", ""),
    operator.and_: ("", "and_"),
}
_COMPARED = {operator.eq: "==", operator.ne: "!=", operator.gt: ">", operator.lt: "<"}


def _register(sign: Any, *, compared: bool) -> None:
    class Template(templates.AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return _typing.signature(Vector("mask", args[0].width) if compared else args[0], *args)
            return None

    _typing.infer_global(sign)(Template)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        is_float = sig.args[0].kind == "float"
        if compared:
            of = builder.fcmp_ordered if is_float else builder.icmp_unsigned
            return of(_COMPARED[sign], *args)
        return getattr(builder, _ARITHMETIC[sign][0 if is_float else 1])(*args)

    _lower(sign, Vector, Vector)(code)


for _sign in _ARITHMETIC:
    _register(_sign, compared=False)
for _sign in _COMPARED:
    _register(_sign, compared=True)
