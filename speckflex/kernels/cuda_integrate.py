"""Integrate and fire on a GPU: one core of the chip, one sample a thread block."""

# Within a kernel numba takes the place of `cuda`'s functions.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportOperatorIssue=false, reportOptionalSubscript=false, reportReturnType=false

import numpy as np
from numba import cuda

from speckflex.chips.formats import NEURON_MAX
from speckflex.kernels.records import PASSING

__all__ = [
    "DEVICE_CORE",
    "FIELD",
    "FLAGS",
    "FRAME",
    "MOST_FRAMES",
    "MOST_THREADS",
    "PART",
    "PROGRESS",
    "TALLY",
    "integrate_batch",
    "integrate_depth_first",
]

FLAGS = 32  # threads whose flags share a word
MOST_THREADS = 256  # a block; whether it is fast is unverified: no GPU was available
MOST_WORDS = 3 * (MOST_THREADS // FLAGS)
MOST_FRAMES = 33  # the input and 32 cores

# What never changes of a core: a LAYOUT for any order of output, a RULE, the decimator.
DEVICE_CORE = np.dtype(
    [
        ("outer_neurons", np.int64),  # this and the next five: the step of neuron and weight
        ("outer_weights", np.int64),  # along the outer, the middle and the inner axis
        ("middle_neurons", np.int64),
        ("middle_weights", np.int64),
        ("inner_neurons", np.int64),
        ("inner_weights", np.int64),
        ("most_spikes", np.int64),  # that one event can cause
        ("high", np.int64),
        ("low", np.int64),
        ("to_zero", np.bool_),
        ("wraps", np.bool_),
        ("ratio", np.int64),
        ("passing", np.int64),
        ("monitors", np.int64),
        ("first_neuron", np.int64),  # how many are in the cores before
        ("n_neurons", np.int64),
        ("pending", np.int64),  # how many spikes one event can cause in the cores before
    ],
    align=True,
)

# The neurons whose kernel covers an address.
FIELD = np.dtype(
    [
        ("neuron", np.int32),  # the first
        ("weight", np.int32),  # which the first neuron meets
        ("n_outer", np.int32),  # neurons along the outer axis
        ("n_middle", np.int32),
        ("n_inner", np.int32),
    ],
    align=True,
)

# The events of one sample.
PART = np.dtype(
    [
        ("first", np.int64),  # among the codes of all samples
        ("n_events", np.int64),
        ("n_done", np.int64),
        ("n_fired", np.int64),  # spikes of the core before
    ],
    align=True,
)

# What one start of a kernel did with a sample.
PROGRESS = np.dtype([("n_done", np.int64), ("n_spikes", np.int64)], align=True)

# A sender whose spikes wait to be delivered.
FRAME = np.dtype(
    [
        ("sender", np.int64),  # 0 for the input, then the cores
        ("spike", np.int64),  # the next
        ("n_spikes", np.int64),
        ("edge", np.int64),  # which the spike takes next
    ],
    align=True,
)

# The spikes of one core in one sample.
TALLY = np.dtype(
    [
        ("n_fired", np.int64),  # since the sample began
        ("n_kept", np.int64),  # in this start of the kernel
    ],
    align=True,
)


@cuda.jit
def integrate_batch(
    codes: np.ndarray,
    times: np.ndarray,
    timed: int,
    stride: int,
    parts: np.ndarray,
    fields: np.ndarray,
    weights: np.ndarray,
    cores: np.ndarray,
    state: np.ndarray,
    counts: np.ndarray,
    spikes: np.ndarray,
    spike_times: np.ndarray,
    progress: np.ndarray,
) -> None:
    """Run events through one core: block s those of sample s, one after the other.

    The arithmetic of `integrate.py`. The threads of a block share the neurons that have the
    event in their field, in the order of output. Each neuron that fires sets a flag; the number of
    flags before its own tells where its spike goes. One barrier stands between setting and reading
    the flags of a tile. It also orders the potentials: a thread updates a neuron on the next event
    only after the barrier, and by then the thread that updates it on this event has done so. The
    words of flags are used in turns of three, so that clearing them needs no barrier of its own.
    Stops early when `spikes` might not hold one more event's output.

    Args:
        codes: int32, rows of `fields`, one per event, of all samples.
        times: int64, µs, one per event, read where spikes are `timed`.
        timed: 1 where spikes get the times of their events, else 0.
        stride: the step in `codes` from one event to the next.
        parts: `(samples,) PART`.
        fields: `(m,) FIELD`.
        weights: int8, rows of taps by (channel, kernel row).
        cores: `(1,) DEVICE_CORE`.
        state: `(samples, neurons) int16`, potentials; changed in place.
        counts: `(samples, neurons) int64`, spikes are added.
        spikes: `(samples, room) int32`, written: addresses of the neurons that fired.
        spike_times: `(samples, room) int64`, µs, written where spikes are `timed`.
        progress: `(samples,) PROGRESS`, written.
    """
    sample, thread, n_threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    n_words = (n_threads + FLAGS - 1) // FLAGS
    words = cuda.shared.array(MOST_WORDS, np.uint32)
    _clear(words)
    cuda.syncthreads()
    core, part = cores[0], parts[sample]
    n_seen, last_spikes = part["n_fired"], spikes.shape[1] - core["most_spikes"]
    event, end, n_spikes, turn = part["n_done"], part["n_events"], 0, 0
    while event < end and n_spikes <= last_spikes:
        place = part["first"] + event * stride
        field = fields[codes[place]]
        for begin in range(0, _size(field), n_threads):
            neuron = _update(begin + thread, field, weights, core, state[sample])
            before, n_fired = _rank(neuron >= 0, thread, words, turn, n_words)
            turn = (turn + 1) % 3
            if neuron >= 0:
                spikes[sample, n_spikes + before] = neuron
                if timed:
                    spike_times[sample, n_spikes + before] = times[place]
                counts[sample, neuron] += _counts(n_seen + n_spikes + before, core)
            n_spikes += n_fired
        event += 1
    if thread == 0:
        progress[sample]["n_done"] = event
        progress[sample]["n_spikes"] = n_spikes


@cuda.jit
def integrate_depth_first(
    codes: np.ndarray,
    times: np.ndarray,
    timed: int,
    first: np.ndarray,
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
    depths: np.ndarray,
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
        first: `(samples,) int64`: where in `codes` the sample begins.
        edges: `(e,) EDGE`, by sender, the input first; the routes are `fields`.
        edge_ends: `(1 + cores + 1,) int64`: where the edges of each sender begin, and the end.
        cores: `(cores,) DEVICE_CORE`.
        fields: `(m,) FIELD`, of all cores.
        weights: int8, of all cores.
        state: int16, by core, sample, neuron; changed in place.
        counts: int64, by core, sample, neuron; spikes are added.
        pending: `(samples, n) int32`, scratch, what the frames' spikes are.
        spikes: `(cores, samples, room) int32`, written where they are kept: what monitors see.
        spike_times: `(cores, samples, room) int64`, µs, written where spikes are kept.
        depths: `(samples,) int64`, changed in place: how many frames there are.
        frames: `(samples, MOST_FRAMES) FRAME`, changed in place.
        tallies: `(samples, cores) TALLY`, changed in place; nothing is kept before the start.
    """
    sample, thread = cuda.blockIdx.x, cuda.threadIdx.x
    words = cuda.shared.array(MOST_WORDS, np.uint32)
    _clear(words)
    stack = cuda.local.array(MOST_FRAMES, FRAME)
    tally = cuda.local.array(MOST_FRAMES, TALLY)
    depth, turn = depths[sample] - 1, 0
    _copy_walk(frames[sample], stack, depth + 1, tallies[sample], tally, len(cores))
    # no thread changes what another one has yet to read
    cuda.syncthreads()
    # not as the loop's condition, which the compiler writes twice: it takes a third more registers
    while True:
        depth = _next_delivery(stack, depth, edge_ends)
        if depth < 0:
            break
        edge = edges[stack[depth]["edge"]]
        target = edge["target"]
        core = cores[target]
        if timed and tally[target]["n_kept"] + core["most_spikes"] > spikes.shape[2]:
            break
        stack[depth]["edge"] += 1
        place = first[sample] + stack[0]["spike"]
        address = _waiting_spike(stack, depth, codes[place], pending[sample], cores)
        base = core["first_neuron"] * len(first) + sample * core["n_neurons"]
        n_passed, turn = _visit(
            fields[edge["first_route"] + address], times[place] if timed else 0, timed, weights,
            core, tally[target], state[base:], counts[base:], pending[sample],
            spikes[target, sample], spike_times[target, sample], words, turn,
        )  # fmt: skip
        depth = _open_frame(stack, depth, target + 1, n_passed, edge_ends)
    if thread == 0:
        depths[sample] = depth + 1
        _copy_walk(stack, frames[sample], depth + 1, tally, tallies[sample], len(cores))


@cuda.jit(device=True)
def _next_delivery(stack: np.ndarray, depth: int, edge_ends: np.ndarray) -> int:
    """Return the uppermost frame with a spike and an edge for it to take; -1 where none is left.

    A spike that has taken all edges makes way for the next, a frame without spikes for the one
    below it.

    Args:
        stack: `(frames,) FRAME`, changed in place.
        depth: of the top.
        edge_ends: where the edges of each sender begin, and the end.
    """
    while depth >= 0:
        frame = stack[depth]
        if frame["spike"] == frame["n_spikes"]:
            depth -= 1
        elif frame["edge"] == edge_ends[frame["sender"] + 1]:
            frame["spike"] += 1
            frame["edge"] = edge_ends[frame["sender"]]
        else:
            break
    return depth


@cuda.jit(device=True)
def _waiting_spike(
    stack: np.ndarray, depth: int, code: int, pending: np.ndarray, cores: np.ndarray
) -> int:
    """Return the address of a frame's next spike: at the bottom the input's, else a core's.

    Args:
        stack: `(frames,) FRAME`.
        depth: of the frame.
        code: of the input's event.
        pending: the sample's spikes of all cores.
        cores: as in `integrate_depth_first`.
    """
    if depth == 0:
        return code
    frame = stack[depth]
    return pending[cores[frame["sender"] - 1]["pending"] + frame["spike"]]


@cuda.jit(device=True)
def _open_frame(
    stack: np.ndarray, depth: int, sender: int, n_spikes: int, edge_ends: np.ndarray
) -> int:
    """Put the spikes of a sender, if there are any, on top of the stack; return its new depth.

    Args:
        stack: `(frames,) FRAME`, changed in place.
        depth: of the top.
        sender: 0 for the input, then the cores.
        n_spikes: how many spikes wait; the first of them takes the first edge next.
        edge_ends: where the edges of each sender begin, and the end.
    """
    if n_spikes == 0:
        return depth
    frame = stack[depth + 1]
    frame["sender"], frame["spike"] = sender, 0
    frame["n_spikes"], frame["edge"] = n_spikes, edge_ends[sender]
    return depth + 1


@cuda.jit(device=True)
def _visit(
    field: np.void,
    time: int,
    timed: int,
    weights: np.ndarray,
    core: np.void,
    tally: np.void,
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
    only_passing = core["monitors"] == PASSING
    seen, kept = tally["n_fired"], tally["n_kept"]
    for begin in range(0, _size(field), n_threads):
        neuron = _update(begin + thread, field, weights, core, state)
        before, n_more = _rank(neuron >= 0, thread, words, turn, n_words)
        turn = (turn + 1) % 3
        if neuron >= 0:
            number = seen + n_fired + before
            slot = _n_passed(number, core) - _n_passed(seen, core)
            if number % core["ratio"] == core["passing"]:
                pending[core["pending"] + slot] = neuron
            if _counts(number, core):
                counts[neuron] += 1
                if timed:
                    slot = kept + (slot if only_passing else n_fired + before)
                    spikes[slot], spike_times[slot] = neuron, time
        n_fired += n_more
    # what is pending is read by all
    cuda.syncthreads()
    n_passed = _n_passed(seen + n_fired, core) - _n_passed(seen, core)
    tally["n_fired"] = seen + n_fired
    tally["n_kept"] = kept + (n_passed if only_passing else n_fired)
    return n_passed, turn


@cuda.jit(device=True)
def _clear(words: np.ndarray) -> None:
    """Clear the flags of all turns; a barrier must follow."""
    for word in range(cuda.threadIdx.x, len(words), cuda.blockDim.x):
        words[word] = 0


@cuda.jit(device=True)
def _copy_walk(
    frames: np.ndarray,
    to_frames: np.ndarray,
    n_frames: int,
    tallies: np.ndarray,
    to_tallies: np.ndarray,
    n_cores: int,
) -> None:
    """Copy the lowest frames and all tallies, field by field.

    numba's simulator can't copy a whole record.
    """
    for depth in range(n_frames):
        frame, copy = frames[depth], to_frames[depth]
        copy["sender"], copy["spike"] = frame["sender"], frame["spike"]
        copy["n_spikes"], copy["edge"] = frame["n_spikes"], frame["edge"]
    for core in range(n_cores):
        to_tallies[core]["n_fired"] = tallies[core]["n_fired"]
        to_tallies[core]["n_kept"] = tallies[core]["n_kept"]


@cuda.jit(device=True)
def _size(field: np.void) -> int:
    """Return how many neurons a field has."""
    return field["n_outer"] * field["n_middle"] * field["n_inner"]


@cuda.jit(device=True)
def _update(
    index: int, field: np.void, weights: np.ndarray, core: np.void, state: np.ndarray
) -> int:
    """Add the weight to one neuron of the field; return its address if it fires, else -1."""
    if index >= _size(field):
        return -1
    n_middle, n_inner = field["n_middle"], field["n_inner"]
    row = np.uint32(index) // np.uint32(n_inner)
    inner = index - row * n_inner
    outer = np.uint32(row) // np.uint32(n_middle)
    middle = row - outer * n_middle
    neuron = field["neuron"] + outer * core["outer_neurons"]
    neuron += middle * core["middle_neurons"] + inner * core["inner_neurons"]
    tap = field["weight"] + outer * core["outer_weights"]
    tap += middle * core["middle_weights"] + inner * core["inner_weights"]
    v, low = np.int64(state[neuron]) + np.int64(weights[tap]), core["low"]
    if v > NEURON_MAX:
        v = v - 2 * (NEURON_MAX + 1) if core["wraps"] else NEURON_MAX
    v = low if v < low else v  # noqa: FURB136 - numba 0.68 can't compile max for GPUs
    fires = v >= core["high"]
    if fires:
        v = 0 if core["to_zero"] else v - core["high"]
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
    # the flags of the previous call: no thread reads them any more
    if thread < n_words:
        words[(turn + 2) % 3 * n_words + thread] = 0
    return before, n_fired


@cuda.jit(device=True)
def _n_passed(number: int, core: np.void) -> int:
    """Return how many of a core's first spikes pass its decimator."""
    ratio = core["ratio"]
    return number if ratio == 1 else (number - core["passing"] + ratio - 1) // ratio


@cuda.jit(device=True)
def _counts(number: int, core: np.void) -> int:
    """Return 1 if a monitor sees the core's spike of that number, else 0."""
    seen = core["monitors"] != PASSING or number % core["ratio"] == core["passing"]
    return 1 if seen else 0
