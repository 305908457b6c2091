"""Integrate and fire on a GPU: one core of the chip, one sample a thread block."""

# Within a kernel numba takes the place of `cuda`'s functions.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportOperatorIssue=false, reportOptionalSubscript=false, reportReturnType=false

import numpy as np
from numba import cuda

from speckflex.chips.formats import NEURON_MAX

__all__ = ["FLAGS", "MOST_FRAMES", "MOST_THREADS", "integrate_batch", "integrate_depth_first"]

FLAGS = 32  # threads whose flags share a word
MOST_THREADS = 256  # a block; unverified for speed, no GPU was at hand
MOST_WORDS = 3 * (MOST_THREADS // FLAGS)
MOST_FRAMES = 33  # the input and 32 cores
SENDER, SPIKE, N_SPIKES, EDGE = range(4)  # a frame's columns
FIRED, KEPT = range(2)  # a tally's


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
    words = cuda.shared.array(MOST_WORDS, np.uint32)
    _clear(words)
    cuda.syncthreads()
    n_seen, last_spikes = parts[sample, 3], spikes.shape[1] - layout[6]
    event, end, n_spikes, turn = parts[sample, 2], parts[sample, 1], 0, 0
    while event < end and n_spikes <= last_spikes:
        place = parts[sample, 0] + event * stride
        code = codes[place]
        for begin in range(0, _n_field(fields, code), n_threads):
            neuron = _update(begin + thread, code, fields, weights, layout, rule, state[sample])
            before, n_fired = _rank(neuron >= 0, thread, words, turn, n_words)
            turn = (turn + 1) % 3
            if neuron >= 0:
                spikes[sample, n_spikes + before] = neuron
                if timed:
                    spike_times[sample, n_spikes + before] = times[place]
                counts[sample, neuron] += _counts(n_seen + n_spikes + before, rule)
            n_spikes += n_fired
        event += 1
    if thread == 0:
        progress[sample, 0] = event
        progress[sample, 1] = n_spikes


@cuda.jit
def integrate_depth_first(
    codes: np.ndarray,
    times: np.ndarray,
    timed: int,
    parts: np.ndarray,
    edges: np.ndarray,
    edge_ends: np.ndarray,
    cores: np.ndarray,
    fields: np.ndarray,
    weights: np.ndarray,
    state: np.ndarray,
    counts: np.ndarray,
    pending: np.ndarray,
    spikes: np.ndarray,
    spike_times: np.ndarray,
    frames: np.ndarray,
    tallies: np.ndarray,
) -> None:
    """Run events through all cores, each spike to the end of the network before the next.

    For programs in which cores have several senders: the order in which their spikes arrive is
    that of the depth-first walk itself. A frame is a sender whose spikes wait to be delivered:
    the input at the bottom, above it the core that one of its events reached, and so on; no
    core reaches itself, so each has one frame at most, and its spikes a place of their own.
    All threads keep the same frames. Stops early when `spikes` might not hold one more event's
    output, and goes on from the frames it left.

    Args:
        codes: int32, addresses in the input's map, one per event, of all samples.
        times: int64, µs, one per event, read where spikes are `timed`.
        timed: 1 where spikes are kept, with the times of their events, else 0.
        parts: `(samples, 1) int64`: where in `codes` the sample begins.
        edges: `(e, 2) int64`, by sender, the input first: the core it leads to, and where in
            `fields` the sender's addresses begin.
        edge_ends: `(1 + cores + 1,) int64`: where the edges of each sender begin, and the end.
        cores: `(cores, 17) int64`: layout and rule as in `integrate_batch`, how many neurons
            are in the cores before, in this core, and how many spikes of one event the cores
            before can cause.
        fields: `(m, 5) int32`, as in `integrate_batch`, of all cores.
        weights: int8, of all cores.
        state: int16, by core, sample, neuron; changed in place.
        counts: int64, by core, sample, neuron; spikes are added.
        pending: `(samples, n) int32`, scratch, what the frames' spikes are.
        spikes: `(cores, samples, room) int32`, written where they are kept: what monitors see.
        spike_times: `(cores, samples, room) int64`, µs, written where spikes are kept.
        frames: `(samples, 1 + frames, 4) int64`, changed in place: first how many frames there
            are, then each frame's sender, next spike, number of spikes and next edge.
        tallies: `(samples, cores, 2) int64`, changed in place: spikes the core fired before,
            and spikes kept in this start, which must be 0 before it.
    """
    sample, thread = cuda.blockIdx.x, cuda.threadIdx.x
    words = cuda.shared.array(MOST_WORDS, np.uint32)
    _clear(words)
    stack = cuda.local.array((MOST_FRAMES, 4), np.int64)
    tally = cuda.local.array((MOST_FRAMES, 2), np.int64)
    depth, turn = frames[sample, 0, 0] - 1, 0
    _copy_rows(frames[sample, 1:], stack, depth + 1)
    _copy_rows(tallies[sample], tally, len(cores))
    # nobody changes what another has yet to read
    cuda.syncthreads()
    # not as the loop's condition, which the compiler writes twice: it takes a third more registers
    while True:
        depth = _next_delivery(stack, depth, edge_ends)
        if depth < 0:
            break
        core, offset = edges[stack[depth, EDGE], 0], edges[stack[depth, EDGE], 1]
        if timed and tally[core, KEPT] + cores[core, 6] > spikes.shape[2]:
            break
        stack[depth, EDGE] += 1
        place = parts[sample, 0] + stack[0, SPIKE]
        address = _waiting_spike(stack, depth, codes[place], pending[sample], cores)
        base = cores[core, 14] * len(parts) + sample * cores[core, 15]
        n_passed, turn = _visit(
            offset + address, times[place] if timed else 0, timed, fields, weights, cores[core],
            tally[core], state[base:], counts[base:], pending[sample], spikes[core, sample],
            spike_times[core, sample], words, turn,
        )  # fmt: skip
        if n_passed:
            depth += 1
            _open_frame(stack[depth], core + 1, n_passed, edge_ends)
    if thread == 0:
        frames[sample, 0, 0] = depth + 1
        _copy_rows(stack, frames[sample, 1:], depth + 1)
        _copy_rows(tally, tallies[sample], len(cores))


@cuda.jit(device=True)
def _next_delivery(stack: np.ndarray, depth: int, edge_ends: np.ndarray) -> int:
    """Return the uppermost frame with a spike and an edge for it to take; -1 where none is left.

    A spike that has taken all edges makes way for the next, a frame without spikes for the one
    below it.

    Args:
        stack: `(frames, 4) int64`, changed in place.
        depth: of the top.
        edge_ends: where the edges of each sender begin, and the end.
    """
    while depth >= 0:
        sender = stack[depth, SENDER]
        if stack[depth, SPIKE] == stack[depth, N_SPIKES]:
            depth -= 1
        elif stack[depth, EDGE] == edge_ends[sender + 1]:
            stack[depth, SPIKE] += 1
            stack[depth, EDGE] = edge_ends[sender]
        else:
            break
    return depth


@cuda.jit(device=True)
def _waiting_spike(
    stack: np.ndarray, depth: int, code: int, pending: np.ndarray, cores: np.ndarray
) -> int:
    """Return the address of a frame's next spike: at the bottom the input's, else a core's.

    Args:
        stack: `(frames, 4) int64`.
        depth: of the frame.
        code: of the input's event.
        pending: the sample's spikes of all cores.
        cores: as in `integrate_depth_first`.
    """
    if depth == 0:
        return code
    return pending[cores[stack[depth, SENDER] - 1, 16] + stack[depth, SPIKE]]


@cuda.jit(device=True)
def _open_frame(frame: np.ndarray, sender: int, n_spikes: int, edge_ends: np.ndarray) -> None:
    """Let the spikes of a sender wait, the first of them for the first of its edges."""
    frame[SENDER], frame[SPIKE] = sender, 0
    frame[N_SPIKES], frame[EDGE] = n_spikes, edge_ends[sender]


@cuda.jit(device=True)
def _visit(
    code: int,
    time: int,
    timed: int,
    fields: np.ndarray,
    weights: np.ndarray,
    core: np.ndarray,
    tally: np.ndarray,
    state: np.ndarray,
    counts: np.ndarray,
    pending: np.ndarray,
    spikes: np.ndarray,
    spike_times: np.ndarray,
    words: np.ndarray,
    turn: int,
) -> tuple[int, int]:
    """Run one event through a core; return how many spikes pass on, and the next turn.

    The arrays are those of this sample, and but for `pending` of this core alone.
    """
    thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
    n_words, n_fired = (n_threads + FLAGS - 1) // FLAGS, 0
    layout, rule, first_pending = core[0:7], core[7:14], core[16]
    seen, kept = tally[FIRED], tally[KEPT]
    for begin in range(0, _n_field(fields, code), n_threads):
        neuron = _update(begin + thread, code, fields, weights, layout, rule, state)
        before, n_more = _rank(neuron >= 0, thread, words, turn, n_words)
        turn = (turn + 1) % 3
        if neuron >= 0:
            number = seen + n_fired + before
            slot = _n_passed(number, rule) - _n_passed(seen, rule)
            if number % rule[4] == rule[5]:
                pending[first_pending + slot] = neuron
            if _counts(number, rule):
                counts[neuron] += 1
                if timed:
                    slot = kept + (slot if rule[6] else n_fired + before)
                    spikes[slot], spike_times[slot] = neuron, time
        n_fired += n_more
    # what is pending is read by all
    cuda.syncthreads()
    n_passed = _n_passed(seen + n_fired, rule) - _n_passed(seen, rule)
    tally[FIRED], tally[KEPT] = seen + n_fired, kept + (n_passed if rule[6] else n_fired)
    return n_passed, turn


@cuda.jit(device=True)
def _clear(words: np.ndarray) -> None:
    """Clear the flags of all turns; a barrier must follow."""
    for word in range(cuda.threadIdx.x, len(words), cuda.blockDim.x):
        words[word] = 0


@cuda.jit(device=True)
def _copy_rows(source: np.ndarray, target: np.ndarray, n_rows: int) -> None:
    """Copy the first rows of a table."""
    for row in range(n_rows):
        for column in range(source.shape[1]):
            target[row, column] = source[row, column]


@cuda.jit(device=True)
def _n_field(fields: np.ndarray, code: int) -> int:
    """Return how many neurons have an event in their field."""
    return fields[code, 2] * fields[code, 3] * fields[code, 4]


@cuda.jit(device=True)
def _update(
    index: int,
    code: int,
    fields: np.ndarray,
    weights: np.ndarray,
    layout: np.ndarray,
    rule: np.ndarray,
    state: np.ndarray,
) -> int:
    """Add the weight to one neuron of the field; return its address if it fires, else -1."""
    if index >= _n_field(fields, code):
        return -1
    n_middle, n_inner = fields[code, 3], fields[code, 4]
    row = np.uint32(index) // np.uint32(n_inner)
    inner = index - row * n_inner
    outer = np.uint32(row) // np.uint32(n_middle)
    middle = row - outer * n_middle
    neuron = fields[code, 0] + outer * layout[0] + middle * layout[2] + inner * layout[4]
    tap = fields[code, 1] + outer * layout[1] + middle * layout[3] + inner * layout[5]
    v = np.int64(state[neuron]) + np.int64(weights[tap])
    if v > NEURON_MAX:
        v = v - 2 * (NEURON_MAX + 1) if rule[3] else NEURON_MAX
    v = rule[1] if v < rule[1] else v  # noqa: FURB136 - numba 0.68 can't compile max for GPUs
    fires = v >= rule[0]
    if fires:
        v = 0 if rule[2] else v - rule[0]
    state[neuron] = v
    return neuron if fires else -1


@cuda.jit(device=True)
def _rank(fires: int, thread: int, words: np.ndarray, turn: int, n_words: int) -> tuple[int, int]:
    """Return how many threads before this one fire, and how many of all; with one barrier.

    Args:
        fires: whether this thread's neuron does.
        thread: its place.
        words: flags in three turns; the turn's own are clear.
        turn: 0, 1, 2, 0 and so on, by one at each call.
        n_words: of each turn.
    """
    own_word, own_bit = thread // FLAGS, np.uint32(1) << np.uint32(thread % FLAGS)
    if fires:
        cuda.atomic.or_(words, turn * n_words + own_word, np.uint32(own_bit))
    cuda.syncthreads()
    n_fired = before = 0
    for word in range(n_words):
        flags = words[turn * n_words + word]
        if word == own_word:
            before = n_fired + cuda.popc(np.uint32(flags & (own_bit - np.uint32(1))))
        n_fired += cuda.popc(flags)
    # those of the call before: nobody reads them any more
    if thread < n_words:
        words[(turn + 2) % 3 * n_words + thread] = 0
    return before, n_fired


@cuda.jit(device=True)
def _n_passed(number: int, rule: np.ndarray) -> int:
    """Return how many of a core's first spikes pass its decimator."""
    return number if rule[4] == 1 else (number - rule[5] + rule[4] - 1) // rule[4]


@cuda.jit(device=True)
def _counts(number: int, rule: np.ndarray) -> int:
    """Return 1 if a monitor sees the core's spike of that number, else 0."""
    return 1 if rule[6] == 0 or number % rule[4] == rule[5] else 0
