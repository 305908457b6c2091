"""Integrate and fire on a GPU: one core of the chip, one sample a thread block."""

# Within a kernel numba takes the place of `cuda`'s functions.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportOperatorIssue=false, reportOptionalSubscript=false

import numpy as np
from numba import cuda

__all__ = ["FLAGS", "MOST_THREADS", "integrate_batch"]

V_MAX = 32767
FLAGS = 32  # threads whose flags share a word
MOST_THREADS = 256  # a block; unverified for speed, no GPU was at hand
MOST_WORDS = 3 * (MOST_THREADS // FLAGS)


@cuda.jit
def integrate_batch(
    codes: np.ndarray,
    times: np.ndarray,
    timed: int,
    stride: int,
    parts: np.ndarray,
    fields: np.ndarray,
    weights: np.ndarray,
    layout: np.ndarray,
    rule: np.ndarray,
    state: np.ndarray,
    counts: np.ndarray,
    spikes: np.ndarray,
    spike_times: np.ndarray,
    progress: np.ndarray,
) -> None:
    """Run events through one core: block s those of sample s, one after the other.

    The arithmetic of `integrate.py`. The threads of a block share the neurons that have the
    event in their field, in the order of output. Each neuron that fires sets a flag; what
    flags stand before its own tells where its spike goes. One barrier stands between the
    flags of a tile and their reading, and it also orders the potentials: who updates a neuron
    on the next event has passed it after who updated it on this one. The words of flags are
    used in turns of three, so that clearing them needs no barrier of its own. Stops early
    when `spikes` might not hold one more event's output.

    Args:
        codes: int32, rows of `fields`, one per event, of all samples.
        times: int64, µs, one per event, read where spikes are `timed`.
        timed: 1 where spikes get the times of their events, else 0.
        stride: the step in `codes` from one event to the next.
        parts: `(samples, 4) int64`: where in `codes` the sample begins, how many events it
            has, the first event to run, and how many spikes the core fired before.
        fields: `(m, 5) int32`: the first neuron and the first weight that an event meets, and
            the extents of its field along the outer, the middle and the inner axis.
        weights: int8, rows of taps by (channel, kernel row).
        layout: `(7,) int64`: the steps of neuron and weight along the outer, the middle and
            the inner axis, and the most spikes that one event can cause.
        rule: `(7,) int64`: threshold high, threshold low, 1 to return to zero, 1 to wrap
            around beyond 32767, the decimator's ratio, which spike of so many it passes, and 1
            to count only what it passes.
        state: `(samples, neurons) int16`, potentials; changed in place.
        counts: `(samples, neurons) int64`, spikes are added.
        spikes: `(samples, room) int32`, written: addresses of the neurons that fired.
        spike_times: `(samples, room) int64`, µs, written where spikes are `timed`.
        progress: `(samples, 2) int64`, written: next event, spikes written.
    """
    sample, thread, n_threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    n_words = (n_threads + FLAGS - 1) // FLAGS
    own_word, own_bit = thread // FLAGS, np.uint32(1) << np.uint32(thread % FLAGS)
    words = cuda.shared.array(MOST_WORDS, np.uint32)
    for word in range(thread, 3 * n_words, n_threads):
        words[word] = 0
    cuda.syncthreads()
    n_seen, last_spikes = parts[sample, 3], spikes.shape[1] - layout[6]
    event, end, n_spikes, turn = parts[sample, 2], parts[sample, 1], 0, 0
    while event < end and n_spikes <= last_spikes:
        place = parts[sample, 0] + event * stride
        code = codes[place]
        n_middle, n_inner = fields[code, 3], fields[code, 4]
        n_field = fields[code, 2] * n_middle * n_inner
        for begin in range(0, n_field, n_threads):
            neuron, index = -1, begin + thread
            if index < n_field:
                neuron = _update(
                    index, code, n_middle, n_inner, fields, weights, layout, rule, state[sample]
                )
            if neuron >= 0:
                cuda.atomic.or_(words, turn * n_words + own_word, np.uint32(own_bit))
            cuda.syncthreads()
            before, n_fired = _rank(words, turn * n_words, n_words, own_word, own_bit)
            if neuron >= 0:
                spikes[sample, n_spikes + before] = neuron
                if timed:
                    spike_times[sample, n_spikes + before] = times[place]
                counts[sample, neuron] += _counts(n_seen + n_spikes + before, rule)
            n_spikes += n_fired
            # those of the tile before: nobody reads them any more
            turn = (turn + 2) % 3
            if thread < n_words:
                words[turn * n_words + thread] = 0
            turn = (turn + 2) % 3
        event += 1
    if thread == 0:
        progress[sample, 0] = event
        progress[sample, 1] = n_spikes


@cuda.jit(device=True)
def _update(
    index: int,
    code: int,
    n_middle: int,
    n_inner: int,
    fields: np.ndarray,
    weights: np.ndarray,
    layout: np.ndarray,
    rule: np.ndarray,
    state: np.ndarray,
) -> int:
    """Add the weight to one neuron of the field; return its address if it fires, else -1."""
    row = np.uint32(index) // np.uint32(n_inner)
    inner = index - row * n_inner
    outer = np.uint32(row) // np.uint32(n_middle)
    middle = row - outer * n_middle
    neuron = fields[code, 0] + outer * layout[0] + middle * layout[2] + inner * layout[4]
    tap = fields[code, 1] + outer * layout[1] + middle * layout[3] + inner * layout[5]
    v = np.int64(state[neuron]) + np.int64(weights[tap])
    if v > V_MAX:
        v = v - 2 * (V_MAX + 1) if rule[3] else V_MAX
    v = rule[1] if v < rule[1] else v  # noqa: FURB136 - numba 0.68 can't compile max for GPUs
    fires = v >= rule[0]
    if fires:
        v = 0 if rule[2] else v - rule[0]
    state[neuron] = v
    return neuron if fires else -1


@cuda.jit(device=True)
def _rank(
    words: np.ndarray, first: int, n_words: int, own_word: int, own_bit: int
) -> tuple[int, int]:
    """Return how many flags stand before a thread's own, and how many there are."""
    n_fired = before = 0
    for word in range(n_words):
        flags = words[first + word]
        if word == own_word:
            before = n_fired + cuda.popc(np.uint32(flags & (own_bit - np.uint32(1))))
        n_fired += cuda.popc(flags)
    return before, n_fired


@cuda.jit(device=True)
def _counts(number: int, rule: np.ndarray) -> int:
    """Return 1 if a monitor sees the core's spike of that number, else 0."""
    return 1 if rule[6] == 0 or number % rule[4] == rule[5] else 0
