"""Vector instructions that no loop in Python expresses: 32 neurons at once.

Written as LLVM vectors, which every processor's compiler backend lowers: to AVX-512 or AVX2
where there is one, to narrower instructions elsewhere. The same arithmetic, one neuron at a
time, is in `integrate.py` and is tested to agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LANES", "append_fired", "count_fired", "update_lanes"]

LANES = 32
GROUP = 8

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def _type_update(
    typing_context: Any,
    state: Any,
    neuron: Any,
    weights: Any,
    tap: Any,
    n_valid: Any,
    high: Any,
    low: Any,
    keep: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Add weights to 32 neurons, clamp, fire, reset; return a mask of those that fired.

    Args:
        typing_context: numba's own.
        state: `(n,) int16`, potentials; 32 may be read and written at `neuron`.
        neuron: int64, the first neuron.
        weights: `(m,) int8`; 32 may be read at `tap`.
        tap: int64, the first weight.
        n_valid: int16, how many of the 32 neurons are updated; the rest stays as it is.
        high: int16, the threshold.
        low: int16, the lower bound.
        keep: int16, -1 to keep the residue after a spike, 0 to return to zero.
    """
    signature = types.uint32(
        state, types.int64, weights, types.int64, types.int16, types.int16, types.int16, types.int16
    )
    return signature, _generate_update


def _generate_update(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    state, neuron, weights, tap, n_valid, high, low, keep = arguments
    wide, narrow = ir.VectorType(_I16, LANES), ir.VectorType(_I8, LANES)
    place = _address(context, builder, signature.args[0], state, neuron, wide)
    source = _address(context, builder, signature.args[2], weights, tap, narrow)
    lanes = ir.Constant(wide, list(range(LANES)))
    valid = builder.icmp_signed("<", lanes, _splat(builder, n_valid, LANES))
    # A lane that is not valid gets the weight 0 and no bound, and so keeps its value: a store
    # of all lanes can be loaded again at once, a masked store can't on many processors.
    taps = builder.sext(builder.load(source, align=1), wide)
    taps = builder.select(valid, taps, ir.Constant(wide, [0] * LANES))
    bottom = ir.Constant(wide, [-(2**15)] * LANES)
    bottom = builder.select(valid, _splat(builder, low, LANES), bottom)
    v = _call(builder, "llvm.sadd.sat", wide, builder.load(place, align=2), taps)
    v = _call(builder, "llvm.smax", wide, v, bottom)
    top = _splat(builder, high, LANES)
    fired = builder.and_(builder.icmp_signed(">=", v, top), valid)
    residue = builder.and_(builder.sub(v, top), _splat(builder, keep, LANES))
    builder.store(builder.select(fired, residue, v), place, align=2)
    return builder.bitcast(fired, ir.IntType(LANES))


def _type_append(
    typing_context: Any, positions: Any, spikes: Any, n_spikes: Any, neuron: Any, mask: Any
) -> tuple[Any, Callable[..., Any]]:
    """Append `neuron + i` for each bit i that is set in `mask`; return the new length.

    Args:
        typing_context: numba's own.
        positions: `(256 * 8,) int8`, `BIT_POSITIONS`.
        spikes: `(n,) int32`; 8 beyond the new length may be written.
        n_spikes: int64, the length so far.
        neuron: int32.
        mask: uint32.
    """
    signature = types.int64(positions, spikes, types.int64, types.int32, types.uint32)
    return signature, _generate_append


def _generate_append(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    positions, spikes, n_spikes, neuron, mask = arguments
    bytes_type, words_type = ir.VectorType(_I8, GROUP), ir.VectorType(_I32, GROUP)
    for first in range(0, LANES, GROUP):
        bits = builder.and_(builder.lshr(mask, _I32(first)), _I32(2**GROUP - 1))
        row = builder.zext(builder.shl(bits, _I32(3)), _I64)
        source = _address(context, builder, signature.args[0], positions, row, bytes_type)
        offsets = builder.zext(builder.load(source, align=1), words_type)
        base = _splat(builder, builder.add(neuron, _I32(first)), GROUP)
        target = _address(context, builder, signature.args[1], spikes, n_spikes, words_type)
        builder.store(builder.add(offsets, base), target, align=4)
        count = _call(builder, "llvm.ctpop", _I32, bits)
        n_spikes = builder.add(n_spikes, builder.zext(count, _I64))
    return n_spikes


def _type_count(typing_context: Any, mask: Any) -> tuple[Any, Callable[..., Any]]:
    """Return how many bits of a uint32 `mask` are set, as int64."""
    return types.int64(types.uint32), _generate_count


def _generate_count(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    return builder.zext(_call(builder, "llvm.ctpop", _I32, *arguments), _I64)


# Called from compiled code alone, without the typing context.
update_lanes: Callable[..., Any] = intrinsic(_type_update)
append_fired: Callable[..., Any] = intrinsic(_type_append)
count_fired: Callable[..., Any] = intrinsic(_type_count)


def _bit_positions() -> np.ndarray:
    """Return, for each byte, the positions of its set bits, then zeros."""
    table = np.zeros((2**GROUP, GROUP), np.int8)
    for byte in range(2**GROUP):
        bits = [bit for bit in range(GROUP) if byte >> bit & 1]
        table[byte, : len(bits)] = bits
    return table.reshape(-1)


BIT_POSITIONS = _bit_positions()


def _address(
    context: Any, builder: ir.IRBuilder, kind: Any, array: Any, index: Any, vector: ir.VectorType
) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _splat(builder: ir.IRBuilder, value: Any, n_lanes: int) -> Any:
    vector = ir.VectorType(value.type, n_lanes)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _I32(0))
    zeros = ir.Constant(ir.VectorType(_I32, n_lanes), [0] * n_lanes)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), zeros)


def _call(builder: ir.IRBuilder, name: str, kind: Any, *arguments: Any) -> Any:
    suffix = f"v{kind.count}i{kind.element.width}" if hasattr(kind, "count") else f"i{kind.width}"
    function = builder.module.declare_intrinsic(
        f"{name}.{suffix}", fnty=ir.FunctionType(kind, [kind] * len(arguments))
    )
    return builder.call(function, arguments)
