"""Vector instructions that no loop in Python expresses: 32 neurons at once.

Written as LLVM vectors, which every processor's compiler backend lowers: to AVX-512 or AVX2
where there is one, to narrower instructions elsewhere. The same arithmetic, one neuron at a
time, is in `integrate.py` and is tested to agree.

All take pointers. numba counts the references to an array that a compiled function gets, once
a call, in instructions that no other may overtake: in an inner loop that costs more than the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "HALF_LANES", "LANES", "LANES_AVAILABLE", "add_half", "add_lanes", "append_fired",
    "append_half", "count_fired", "pointer_to", "prefetch", "reset_half", "reset_lanes",
]  # fmt: skip

LANES, HALF_LANES = 32, 16
# Spikes appended at once: by a table of bytes, and where the processor packs vectors itself.
GROUP, WIDE_GROUP = 8, 16
LINE = 64 // 4  # int32 in a cache line

# Vector instructions exist only in compiled code.
LANES_AVAILABLE = not config.DISABLE_JIT  # pyright: ignore[reportAttributeAccessIssue]

_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


def _type_pointer(typing_context: Any, array: Any) -> tuple[Any, Callable[..., Any]]:
    """Return where the elements of a contiguous array lie; other arrays are refused."""
    if array.layout != "C":
        raise TypingError(f"{array} is not known to be contiguous: pass a contiguous array")
    return types.CPointer(array.dtype)(array), _generate_pointer


def _generate_pointer(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    return context.make_array(signature.args[0])(context, builder, *arguments).data


def _type_add(
    typing_context: Any,
    state: Any,
    neuron: Any,
    weights: Any,
    tap: Any,
    n_valid: Any,
    high: Any,
    low: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Add weights to 32 neurons and clamp; return a mask of those that reach the threshold.

    Args:
        typing_context: numba's own.
        state: to int16, potentials; 32 may be read and written at `neuron`.
        neuron: int64, the first neuron.
        weights: to int8; 32 may be read at `tap`.
        tap: int64, the first weight.
        n_valid: int16, how many of the 32 neurons are updated; the rest stays as it is.
        high: int16, the threshold.
        low: int16, the lower bound.
    """
    signature = types.uint32(
        state, types.int64, weights, types.int64, types.int16, types.int16, types.int16
    )
    return signature, _generate_add


def _type_add_half(
    typing_context: Any,
    state: Any,
    neuron: Any,
    weights: Any,
    tap: Any,
    n_valid: Any,
    high: Any,
    low: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Do the same to 16 neurons."""
    arguments = (state, neuron, weights, tap, n_valid, high, low)
    signature, _ = _type_add(typing_context, *arguments)
    return signature, _generate_add_half


def _generate_add(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    return _add(builder, arguments, LANES)


def _generate_add_half(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    return builder.zext(_add(builder, arguments, HALF_LANES), _I32)


def _add(builder: ir.IRBuilder, arguments: Any, n_lanes: int) -> Any:
    state, neuron, weights, tap, n_valid, high, low = arguments
    wide, narrow = ir.VectorType(_I16, n_lanes), ir.VectorType(_I8, n_lanes)
    place = _address(builder, state, neuron, wide)
    source = _address(builder, weights, tap, narrow)
    lanes = ir.Constant(wide, list(range(n_lanes)))
    valid = builder.icmp_signed("<", lanes, _splat(builder, n_valid, n_lanes))
    # A lane that is not valid gets the weight 0 and no bound, and so keeps its value: a store
    # of all lanes can be loaded again at once, a masked store can't on many processors.
    taps = builder.sext(builder.load(source, align=1), wide)
    taps = builder.select(valid, taps, ir.Constant(wide, [0] * n_lanes))
    bottom = ir.Constant(wide, [-(2**15)] * n_lanes)
    bottom = builder.select(valid, _splat(builder, low, n_lanes), bottom)
    v = _call(builder, "llvm.sadd.sat", wide, builder.load(place, align=2), taps)
    v = _call(builder, "llvm.smax", wide, v, bottom)
    builder.store(v, place, align=2)
    fired = builder.icmp_signed(">=", v, _splat(builder, high, n_lanes))
    return builder.bitcast(builder.and_(fired, valid), ir.IntType(n_lanes))


def _type_reset(
    typing_context: Any, state: Any, neuron: Any, mask: Any, high: Any, keep: Any
) -> tuple[Any, Callable[..., Any]]:
    """Reset those of 32 neurons that fired.

    Right behind the addition, the compiler joins both: nothing is loaded or stored twice.

    Args:
        typing_context: numba's own.
        state: to int16, potentials; 32 may be read and written at `neuron`.
        neuron: int64, the first neuron.
        mask: uint32, a bit for each that fired.
        high: int16, the threshold.
        keep: int16, -1 to keep the residue after a spike, 0 to return to zero.
    """
    signature = types.void(state, types.int64, types.uint32, types.int16, types.int16)
    return signature, _generate_reset


def _type_reset_half(
    typing_context: Any, state: Any, neuron: Any, mask: Any, high: Any, keep: Any
) -> tuple[Any, Callable[..., Any]]:
    """Do the same to 16 neurons."""
    signature, _ = _type_reset(typing_context, state, neuron, mask, high, keep)
    return signature, _generate_reset_half


def _generate_reset(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    _reset(builder, arguments, LANES)
    return context.get_dummy_value()


def _generate_reset_half(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
) -> Any:
    _reset(builder, arguments, HALF_LANES)
    return context.get_dummy_value()


def _reset(builder: ir.IRBuilder, arguments: Any, n_lanes: int) -> None:
    state, neuron, mask, high, keep = arguments
    wide = ir.VectorType(_I16, n_lanes)
    place = _address(builder, state, neuron, wide)
    bits = mask if n_lanes == LANES else builder.trunc(mask, ir.IntType(n_lanes))
    fired = builder.bitcast(bits, ir.VectorType(_I1, n_lanes))
    v = builder.load(place, align=2)
    residue = builder.sub(v, _splat(builder, high, n_lanes))
    residue = builder.and_(residue, _splat(builder, keep, n_lanes))
    builder.store(builder.select(fired, residue, v), place, align=2)


def _type_append(
    typing_context: Any, spikes: Any, n_spikes: Any, neuron: Any, mask: Any
) -> tuple[Any, Callable[..., Any]]:
    """Append `neuron + i` for each bit i that is set in `mask`; return the new length.

    Args:
        typing_context: numba's own.
        spikes: to int32; 16 beyond the new length may be written.
        n_spikes: int64, the length so far.
        neuron: int32.
        mask: uint32.
    """
    signature = types.int64(spikes, types.int64, types.int32, types.uint32)
    return signature, _generate_append


def _type_append_half(
    typing_context: Any, spikes: Any, n_spikes: Any, neuron: Any, mask: Any
) -> tuple[Any, Callable[..., Any]]:
    """Do the same for the lower 16 bits of `mask`."""
    signature, _ = _type_append(typing_context, spikes, n_spikes, neuron, mask)
    return signature, _generate_append_half


def _generate_append(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    return _append(context, builder, arguments, LANES)


def _generate_append_half(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
) -> Any:
    return _append(context, builder, arguments, HALF_LANES)


def _append(context: Any, builder: ir.IRBuilder, arguments: Any, n_lanes: int) -> Any:
    spikes, n_spikes, neuron, mask = arguments
    # The features that numba compiles for, which a user may have narrowed.
    packs = "+avx512f" in context.codegen().magic_tuple()[2].split(",")
    group, choose = (WIDE_GROUP, _pack) if packs else (GROUP, _look_up)
    vector, bits_type = ir.VectorType(_I32, group), ir.IntType(group)
    neurons = _splat(builder, neuron, group)
    for first in range(0, n_lanes, group):
        bits = builder.trunc(builder.lshr(mask, _I32(first)), bits_type)
        fired = choose(builder, neurons, first, bits)
        builder.store(fired, _address(builder, spikes, n_spikes, vector), align=4)
        count = _call(builder, "llvm.ctpop", bits_type, bits)
        n_spikes = builder.add(n_spikes, builder.zext(count, _I64))
    return n_spikes


def _pack(builder: ir.IRBuilder, neurons: Any, first: int, bits: Any) -> Any:
    """Return `neurons + first + i` for each bit i set in an i16: AVX-512, in a register."""
    vector, choice = neurons.type, ir.VectorType(_I1, WIDE_GROUP)
    pack = builder.module.declare_intrinsic(
        f"llvm.x86.avx512.mask.compress.v{WIDE_GROUP}i32",
        fnty=ir.FunctionType(vector, [vector, vector, choice]),
    )
    addresses = builder.add(neurons, ir.Constant(vector, list(range(first, first + WIDE_GROUP))))
    return builder.call(pack, [addresses, ir.Constant(vector, None), builder.bitcast(bits, choice)])


def _look_up(builder: ir.IRBuilder, neurons: Any, first: int, bits: Any) -> Any:
    """Return `neurons + first + i` for each bit i set in an i8."""
    table = cgutils.global_constant(
        builder.module, "bit_positions", cgutils.create_constant_array(_I8, BIT_POSITIONS.tolist())
    )
    row = builder.shl(builder.zext(bits, _I64), _I64(3))
    start = builder.bitcast(table, _I8.as_pointer())
    source = _address(builder, start, row, ir.VectorType(_I8, GROUP))
    positions = builder.zext(builder.load(source, align=1), neurons.type)
    return builder.add(positions, builder.add(neurons, ir.Constant(neurons.type, [first] * GROUP)))


def _type_prefetch(
    typing_context: Any, spikes: Any, n_spikes: Any
) -> tuple[Any, Callable[..., Any]]:
    """Fetch the memory that up to 32 more spikes will be written to, without waiting for it.

    Args:
        typing_context: numba's own.
        spikes: to int32.
        n_spikes: int64, the length so far; the memory may end there.
    """
    return types.void(spikes, types.int64), _generate_prefetch


def _generate_prefetch(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    spikes, n_spikes = arguments
    kinds = [_I8.as_pointer(), _I32, _I32, _I32]
    function = builder.module.declare_intrinsic(
        "llvm.prefetch", kinds[:1], ir.FunctionType(ir.VoidType(), kinds)
    )
    for_writing, keep_near, data = _I32(1), _I32(3), _I32(1)
    for first in range(0, LANES, LINE):
        place = _address(builder, spikes, builder.add(n_spikes, _I64(first)), _I8)
        builder.call(function, [place, for_writing, keep_near, data])
    return context.get_dummy_value()


def _type_count(typing_context: Any, mask: Any) -> tuple[Any, Callable[..., Any]]:
    """Return how many bits of a uint32 `mask` are set, as int64."""
    return types.int64(types.uint32), _generate_count


def _generate_count(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    return builder.zext(_call(builder, "llvm.ctpop", _I32, *arguments), _I64)


# Called from compiled code alone, without the typing context.
pointer_to: Callable[..., Any] = intrinsic(_type_pointer) if LANES_AVAILABLE else np.asarray
prefetch: Callable[..., Any] = intrinsic(_type_prefetch)
add_lanes: Callable[..., Any] = intrinsic(_type_add)
add_half: Callable[..., Any] = intrinsic(_type_add_half)
reset_lanes: Callable[..., Any] = intrinsic(_type_reset)
reset_half: Callable[..., Any] = intrinsic(_type_reset_half)
append_fired: Callable[..., Any] = intrinsic(_type_append)
append_half: Callable[..., Any] = intrinsic(_type_append_half)
count_fired: Callable[..., Any] = intrinsic(_type_count)


def _bit_positions() -> np.ndarray:
    """Return, for each byte, the positions of its set bits, then zeros."""
    table = np.zeros((2**GROUP, GROUP), np.int8)
    for byte in range(2**GROUP):
        bits = [bit for bit in range(GROUP) if byte >> bit & 1]
        table[byte, : len(bits)] = bits
    return table.reshape(-1)


BIT_POSITIONS = _bit_positions()


def _address(builder: ir.IRBuilder, pointer: Any, index: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(pointer, [index]), kind.as_pointer())


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
