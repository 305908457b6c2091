"""Integrate and fire: one core of the chip, event by event."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from speckflex.chips.formats import NEURON_MAX
from speckflex.kernels._lanes import (
    HALF_LANES,
    LANES,
    LANES_AVAILABLE,
    add_half,
    add_lanes,
    append_fired,
    append_half,
    count_fired,
    pointer_to,
    prefetch,
    reset_half,
    reset_lanes,
)
from speckflex.kernels.group_spikes import group_spikes
from speckflex.kernels.records import UNGROUPED

__all__ = ["LANES", "LANES_AVAILABLE", "CoreArrays", "integrate"]

ALL_LANES, ALL_OF_HALF = np.int16(LANES), np.int16(HALF_LANES)
# What happens to the neurons of a vector that fire: it is asked whether there are any, which is the
# quickest where there are nearly none; their mask is kept for later, whether it is empty or not;
# they are written out at once, which is the quickest where most fire.
ASKING, KEEPING, WRITING = 0, 1, 2
# Neurons one at a time, where the rules are none that vectors can follow.
SINGLE = 3
# After so many events, what happens next is chosen by how many neurons fired, in parts of those
# that the events can reach.
BLOCK = 128
FEW_FIRE, MANY_FIRE = 1 / 1000, 1 / 3


class CoreArrays(NamedTuple):
    """What the kernels need of a core.

    Args:
        routes: `(m,) ROUTE`.
        weights: int8, rows of taps by (channel, kernel row), `LANES` beyond the last.
        state: int16, potentials by address, the channel fastest, `LANES` beyond the last; changed
            in place.
        layout: `(c,) LAYOUT`, of one or several cores.
        rule: `(c,) RULE`, of the same.
        place: this core's among them.
        pending: `(k,) uint64`, scratch, for more than the most masks of one event.
    """

    routes: np.ndarray
    weights: np.ndarray
    state: np.ndarray
    layout: np.ndarray
    rule: np.ndarray
    place: int
    pending: np.ndarray


class Memory(NamedTuple):
    """Pointers to what the inner loops read and write."""

    weights: Any
    state: Any
    pending: Any
    spikes: Any


class Rule(NamedTuple):
    """When a neuron fires, and what is left: copies, which no store to an array can change.

    Args:
        high: int16, the threshold.
        low: int16, the lower bound.
        keep: int16, -1 to keep the residue after a spike, 0 to return to zero.
        wraps: whether a sum beyond 32767 wraps around.
        cuts_last: whether the threshold is compared before a sum is cut to 16 bits.
    """

    high: Any
    low: Any
    keep: Any
    wraps: Any
    cuts_last: Any


class Steps(NamedTuple):
    """What lies between one row of an event's field and the next.

    Args:
        neurons: int64.
        weights: int64, backwards.
    """

    neurons: Any
    weights: Any


class Events(NamedTuple):
    """The events of a block, and where it ends early.

    Args:
        routes: `(m,) ROUTE`.
        codes: see `integrate`.
        ends: see `integrate`.
        stop: int64, the first event after the block.
        last_spikes: int64, with more spikes, those of one more event might find no room.
        last_pending: int64, the same of masks.
    """

    routes: Any
    codes: Any
    ends: Any
    stop: Any
    last_spikes: Any
    last_pending: Any


# error_model: divisors are never zero here, and a check in the loop would cost
@njit(cache=True, nogil=True, error_model="numpy")
def integrate(
    codes: np.ndarray,
    start: int,
    core: CoreArrays,
    spikes: np.ndarray,
    ends: np.ndarray,
) -> tuple[int, int]:
    """Run events from `start` on through one core and return (next event, spikes written).

    For each event and each neuron with the event in its field: add the weight, clamp at the
    low threshold, compare with the high one, fire at most once. Neurons that lie side by side
    in the field of an event are updated in one run over contiguous memory. Spikes leave in the
    order of their addresses, or grouped by channel where the layout says so. Stops early when
    `spikes` might not hold one more event's output.

    Args:
        codes: `(n,) int32`, rows of the routes, one per event.
        start: the first event to run.
        core: its arrays.
        spikes: int32, written: addresses of the neurons that fired.
        ends: `(n,) int32`, written: for each event run, where its spikes end.
    """
    routes, layout = core.routes, core.layout[core.place]
    rule = core.rule[core.place]
    last_spikes = spikes.size - layout["most_spikes"] - LANES
    last_pending = len(core.pending) - layout["most_masks"] - 1
    weights, state = pointer_to(core.weights), pointer_to(core.state)
    memory = Memory(weights, state, pointer_to(core.pending), pointer_to(spikes))
    keep = np.int16(0) if rule["to_zero"] else np.int16(-1)
    high, low = np.int16(rule["high"]), np.int16(rule["low"])
    bounds = Rule(high, low, keep, rule["wraps"], rule["cuts_last"])
    steps = Steps(layout["row_neurons"], layout["stride_y"] * layout["row_weights"])
    most_spikes, by_lanes = layout["most_spikes"], layout["by_lanes"]
    n_spikes = written = 0
    event, mode = start, KEEPING if by_lanes else SINGLE
    while event < codes.size and n_spikes <= last_spikes:
        first, before, stop = event, n_spikes, min(event + BLOCK, codes.size)
        events = Events(routes, codes, ends, stop, last_spikes, last_pending)
        event, n_pending, n_spikes = _run_block(
            memory, bounds, steps, events, mode, event, n_spikes
        )
        if by_lanes:
            written = n_spikes if mode == WRITING else _expand(memory, n_pending, written)
            mode = _choose_mode(n_spikes - before, (event - first) * most_spikes)
    if layout["grouping"] != UNGROUPED:
        group_spikes(spikes, ends[start:event], core.layout[core.place])
    return event, n_spikes


@njit(cache=True, nogil=True, error_model="numpy")
def _choose_mode(n_spikes: int, n_updates: int) -> int:
    """Return what happens to neurons that fire, after so many of so many did."""
    if n_spikes < FEW_FIRE * n_updates:
        return ASKING
    return WRITING if n_spikes > MANY_FIRE * n_updates else KEEPING


# forceinline, here and below: calls would cost as much as a short run of neurons
@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _run_block(
    memory: Memory, rule: Rule, steps: Steps, events: Events, mode: int, event: int, n_spikes: int
) -> tuple[int, int, int]:
    """Run the events of a block; return the next event, and the numbers of masks and spikes."""
    # a loop for each mode, in which the mode is a constant: the compiler drops all others
    if mode == ASKING:
        return _run_events(memory, rule, steps, events, ASKING, event, n_spikes)
    if mode == KEEPING:
        return _run_events(memory, rule, steps, events, KEEPING, event, n_spikes)
    if mode == WRITING:
        return _run_events(memory, rule, steps, events, WRITING, event, n_spikes)
    return _run_events(memory, rule, steps, events, SINGLE, event, n_spikes)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _run_events(
    memory: Memory, rule: Rule, steps: Steps, events: Events, mode: int, event: int, n_spikes: int
) -> tuple[int, int, int]:
    """Do the same in one mode, which is a constant."""
    routes, codes, ends, stop = events.routes, events.codes, events.ends, events.stop
    n_pending = 0
    while event < stop and n_spikes <= events.last_spikes and n_pending <= events.last_pending:
        # unsigned: numba tests each signed index for one that counts from the end
        route = routes[np.uint64(codes[np.uint64(event)])]
        neuron, tap = np.int64(route["neuron"]), np.int64(route["weight"])
        n_neurons: Any = np.int64(route["n_neurons"])
        for _ in range(route["n_rows"]):
            if mode == SINGLE:
                n_spikes = _run_single(memory, rule, neuron, n_neurons, tap, n_spikes)
            else:
                n_pending, n_spikes = _run_lanes(
                    memory, rule, neuron, n_neurons, tap, mode, n_pending, n_spikes
                )
            neuron += steps.neurons
            tap -= steps.weights
        ends[np.uint64(event)] = n_spikes
        event += 1
    return event, n_pending, n_spikes


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _run_lanes(
    memory: Memory,
    rule: Rule,
    neuron: int,
    n_neurons: int,
    tap: int,
    mode: int,
    n_pending: int,
    n_spikes: int,
) -> tuple[int, int]:
    """Update neurons side by side, 32 at once; return the new numbers of masks and spikes."""
    end = neuron + n_neurons
    while neuron + LANES <= end:
        # a constant number of valid lanes: the compiler drops what tells them apart
        mask = add_lanes(memory.state, neuron, memory.weights, tap, ALL_LANES, rule.high, rule.low)
        if mode != ASKING or mask:
            reset_lanes(memory.state, neuron, mask, rule.high, rule.keep)
            n_pending, n_spikes = _take(memory, neuron, mask, mode, n_pending, n_spikes)
        neuron += LANES
        tap += LANES
    if neuron < end:
        rest = np.int16(end - neuron)
        if rest > HALF_LANES:
            mask = add_lanes(memory.state, neuron, memory.weights, tap, rest, rule.high, rule.low)
            if mode != ASKING or mask:
                reset_lanes(memory.state, neuron, mask, rule.high, rule.keep)
                return _take(memory, neuron, mask, mode, n_pending, n_spikes)
            return n_pending, n_spikes
        if rest == HALF_LANES:
            mask = add_half(
                memory.state, neuron, memory.weights, tap, ALL_OF_HALF, rule.high, rule.low
            )
        else:
            mask = add_half(memory.state, neuron, memory.weights, tap, rest, rule.high, rule.low)
        if mode != ASKING or mask:
            reset_half(memory.state, neuron, mask, rule.high, rule.keep)
            if mode == WRITING:
                return n_pending, append_half(memory.spikes, n_spikes, np.int32(neuron), mask)
            return _take(memory, neuron, mask, mode, n_pending, n_spikes)
    return n_pending, n_spikes


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _take(
    memory: Memory, neuron: int, mask: np.uint32, mode: int, n_pending: int, n_spikes: int
) -> tuple[int, int]:
    """Take a vector's mask of those that fired; return the new numbers of masks and spikes."""
    if mode == WRITING:
        return n_pending, append_fired(memory.spikes, n_spikes, np.int32(neuron), mask)
    # Kept without a branch: a processor can't predict which neurons fire, and a wrong prediction
    # costs much time.
    memory.pending[n_pending] = np.uint64(mask) << np.uint64(32) | np.uint64(neuron)
    n_pending += mask != 0
    # The spikes are written later, all at once, and that must not wait for memory.
    prefetch(memory.spikes, n_spikes)
    n_spikes += count_fired(mask)
    return n_pending, n_spikes


@njit(cache=True, nogil=True, error_model="numpy")
def _expand(memory: Memory, n_pending: int, n_spikes: int) -> int:
    """Write the addresses that masks stand for; return the new number of spikes."""
    # Up to a zero: a counted loop is unrolled, and takes 1.5 times as long.
    memory.pending[n_pending] = np.uint64(0)
    index, pending = 0, memory.pending[0]
    while pending:
        neuron, mask = np.int32(pending), np.uint32(pending >> np.uint64(32))
        n_spikes = append_fired(memory.spikes, n_spikes, neuron, mask)
        index += 1
        pending = memory.pending[index]
    return n_spikes


@njit(cache=True, nogil=True, error_model="numpy")
def _run_single(
    memory: Memory, rule: Rule, neuron: int, n_neurons: int, tap: int, n_spikes: int
) -> int:
    """Update neurons side by side, one at a time; return the new number of spikes."""
    for offset in range(n_neurons):
        v = np.int64(memory.state[neuron + offset]) + np.int64(memory.weights[tap + offset])
        if v > NEURON_MAX and not rule.cuts_last:
            v = v - 2 * (NEURON_MAX + 1) if rule.wraps else NEURON_MAX
        v = max(v, rule.low)
        if v >= rule.high:
            v = (v - rule.high) & rule.keep
            memory.spikes[n_spikes] = neuron + offset
            n_spikes += 1
        memory.state[neuron + offset] = min(v, NEURON_MAX)
    return n_spikes
