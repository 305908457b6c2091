"""The twin on a GPU, or in numba's simulator of one, gives the spikes of the CPU's."""

import os
import sys
import threading
import weakref
from dataclasses import replace

import numpy as np
import programs
import pytest
from agreement import assert_twin_equals_reference
from numba.cuda.cudadrv.driver import CudaAPIError

from speckflex.boards import open_board
from speckflex.boards.twin import Twin
from speckflex.errors import BoardError, BoardNotFoundError
from speckflex.kernels import cuda_device, cuda_integrate
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.twin.gpu import _core as gpu_core
from speckflex.twin.gpu import _graph as gpu_graph
from speckflex.twin.gpu import _samples as gpu_samples
from speckflex.twin.gpu import twin as gpu_twin
from speckflex.twin.gpu.twin import GpuTwin
from speckflex.twin.graph import Graph
from speckflex.twin.settings import EngineTimes, TwinSettings

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
# The simulator makes a thread of Python's of each of a GPU's.
N_PROGRAMS, MOST_UPDATES = (40, 1200) if SIMULATED else (300, 10**6)
LEAST_SPIKES = 20

try:
    Twin(device="cuda").close()
except BoardNotFoundError:
    pytest.skip(
        "no GPU: set NUMBA_ENABLE_CUDASIM=1 to play in numba's simulator",
        allow_module_level=True,
    )


@pytest.fixture(autouse=True)
def few_threads(monkeypatch):
    """Make blocks so small in the simulator that a field needs several turns of them."""
    if SIMULATED:
        monkeypatch.setattr(cuda_integrate, "FLAGS", 2)
        monkeypatch.setattr(gpu_core, "FLAGS", 2)
        monkeypatch.setattr(gpu_core, "MOST_THREADS", 6)
        monkeypatch.setattr(gpu_samples, "GATHERING_THREADS", 3)
        share_arrays_safely(monkeypatch)
        interval = sys.getswitchinterval()
        # threads take turns often: quick at barriers, and hard on a missing one
        sys.setswitchinterval(5e-5)
        yield
        sys.setswitchinterval(interval)
    else:
        yield


def share_arrays_safely(monkeypatch):
    """Let the threads of a block get one shared array, be they ever so quick to ask for it.

    The simulator looks for it and then makes it, so that two threads may make one each. It tells
    a kernel's arrays apart by the line that asks, which is here the same for all: each kernel
    has but one.
    """
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    lock, make = threading.Lock(), FakeCUDAShared.array

    def array(shared, shape, dtype):
        with lock:
            return make(shared, shape, dtype)

    monkeypatch.setattr(FakeCUDAShared, "array", array)


def random_tree(rng, n_cores):
    """Return a program in which each core has one sender, and a sender one to three cores."""
    shape = (int(rng.integers(1, 3)), *(int(side) for side in rng.integers(2, 8, 2)))
    stage = programs.random_stage(rng, shape)
    senders, cores, sends = [stage], [], [[]]
    for index in range(n_cores):
        chosen = int(rng.integers(max(0, len(senders) - 2), len(senders)))
        sent = senders[chosen].output_shape
        pooling = programs.random_pooling(rng, sent) if chosen else 1
        _, height, width = programs.pooled(sent, pooling)
        shift, more = (int(number) for number in rng.integers(0, 2, 2))
        core = programs.random_core(rng, (sent[0] + shift + more, height, width))
        sends[chosen].append(Destination(index, pooling, shift))
        senders.append(core)
        cores.append(core)
        sends.append([])
    stage = programs.replace_destinations(stage, sends[0])
    cores = map(programs.replace_destinations, cores, sends[1:])
    return Program(tuple(cores), stage, chip="unbounded")


def random_case(seed):
    """Return a program, streams and settings, small enough for the simulator."""
    rng = np.random.default_rng(seed)
    while True:
        make = random_tree if seed % 2 else programs.random_graph
        program = make(rng, int(rng.integers(1, 5)))
        program = programs.with_leaks_and_decimators(rng, program)
        settings = replace(programs.random_settings(rng), leak_spikes="at next event")
        if settings.has_slow_clock:
            program = programs.with_filter(rng, program)
        streams = [
            programs.random_events(rng, program.input.shape, int(n_events))
            for n_events in rng.choice([0, 3, 12, 25], rng.integers(1, 4))
        ]
        n_events = [sum(map(len, streams)), *spike_numbers(program, streams, settings)]
        if sum(n_events[1:]) >= LEAST_SPIKES and n_updates(program, n_events) <= MOST_UPDATES:
            return rng, program, streams, settings


def spike_numbers(program, streams, settings):
    """Return how many spikes each layer has on the CPU."""
    with Twin(threads=1, settings=settings) as twin:
        twin.load(program)
        recording = twin.play(streams, keep_events=False)
    return [int(recording.counts(layer).sum()) for layer in range(len(program.cores))]


def n_updates(program, n_events):
    """Return about how many neurons are updated by what the input and each core send."""
    fields = [
        core.weights[:, 0].size // (core.stride[0] * core.stride[1]) for core in program.cores
    ]
    return sum(
        n_sent * fields[destination.core]
        for sender, n_sent in zip([program.input, *program.cores], n_events, strict=True)
        for destination in sender.destinations
    )


def played(program, streams, settings, *, device, reset):
    """Return every spike, count and potential of one play."""
    with Twin(threads=1, settings=settings, device=device) as twin:
        twin.load(program)
        recording = twin.play(streams, reset=reset)
        layers = range(len(program.cores))
        return (
            [[recording.events(i, s).tolist() for s in range(len(streams))] for i in layers],
            [recording.counts(i).tolist() for i in layers],
            [recording.layer(i).potentials for i in layers],
            [twin.read_neurons(i).tolist() for i in layers],
        )


@pytest.mark.parametrize("seed", range(N_PROGRAMS))
def test_any_program_spikes_as_on_the_cpu_and_as_the_reference(seed, monkeypatch):
    rng, program, streams, settings = random_case(seed)
    reset = bool(rng.random() < 0.7)
    monkeypatch.setattr(gpu_core, "SPIKES_PER_START", int(rng.choice([1, 2**13])))
    monkeypatch.setattr(gpu_twin, "SAMPLES_AT_ONCE", int(rng.choice([2, 4096])))
    found = played(program, streams, settings, device="cuda", reset=reset)
    assert found == played(program, streams, settings, device="cpu", reset=reset)
    assert_twin_equals_reference(program, streams, settings, reset=reset)


def features(program, streams, settings):
    """Return what a case has of all that may differ."""
    cores, senders = program.cores, [program.input, *program.cores]
    destinations = [destination for sender in senders for destination in sender.destinations]
    targets = [destination.core for destination in destinations]
    return {
        "two senders": len(set(targets)) < len(targets),
        "two destinations": any(len(sender.destinations) > 1 for sender in senders),
        "pooling": any(destination.pooling > 1 for destination in destinations),
        "feature shift": any(destination.feature_shift for destination in destinations),
        "stride": any(max(core.stride) > 1 for core in cores),
        "padding": any(max(core.padding) for core in cores),
        "return to zero": any(core.return_to_zero for core in cores),
        "initial state": any(core.initial_state is not None for core in cores),
        "decimator": any(core.decimator_interval is not None for core in cores),
        "leak": settings.has_slow_clock and any(core.bias is not None for core in cores),
        "filter": program.input.event_filter is not None,
        "channels as the middle loop": settings.output_order[3] == "c",
        "channels as the outer loop": settings.output_order[1] == "c",
        "falling channels": "-c" in settings.output_order,
        "wrap": settings.overflow == "wrap",
        "a monitor behind decimators": settings.decimator_monitor == "after",
        "an empty sample": not all(map(len, streams)),
        "samples of unequal length": len(set(map(len, streams))) > 1,
    }


def test_the_random_programs_have_all_there_is():
    cases = [features(*random_case(seed)[1:]) for seed in range(N_PROGRAMS)]
    assert [name for name in cases[0] if not any(case[name] for case in cases)] == []


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_potentials_at_16_bits_saturate_or_wrap(overflow):
    weights = np.array([127, -128], np.int8).reshape(2, 1, 1, 1)
    state = np.array([32760, -32760], np.int16).reshape(2, 1, 1)
    core = Core("edge", weights, 32767, -32768, (1, 1, 1), initial_state=state)
    program = Program((core,), InputStage((1, 1, 1)), chip="unbounded")
    events = programs.random_events(np.random.default_rng(1), (1, 1, 1), 3)
    settings = TwinSettings(overflow=overflow)
    found = played(program, [events], settings, device="cuda", reset=True)
    assert found == played(program, [events], settings, device="cpu", reset=True)
    assert found[3][0][1] == [[-32768]]


@pytest.mark.parametrize("n_senders", [1, 2])
def test_a_sample_that_fills_its_room_starts_the_kernel_again(rng, monkeypatch, n_senders):
    starts = []

    def launch(kernel, *arguments):
        starts.append(kernel)
        cuda_device.launch(kernel, *arguments)

    monkeypatch.setattr(gpu_core, "launch", launch)
    monkeypatch.setattr(gpu_graph, "launch", launch)
    monkeypatch.setattr(gpu_core, "SPIKES_PER_START", 1)
    # one spike in a corner, two at an edge, four elsewhere
    core = Core("busy", np.full((1, 1, 2, 2), 50, np.int8), 50, 0, (1, 4, 4))
    stage = InputStage((1, 4, 4), destinations=(Destination(0),) * n_senders)
    program = Program((core,), stage, chip="unbounded")
    streams = [programs.random_events(rng, (1, 4, 4), n) for n in (5, 0, 9)]
    found = played(program, streams, TwinSettings(), device="cuda", reset=True)
    assert found == played(program, streams, TwinSettings(), device="cpu", reset=True)
    # the room is for one event, and each comes once from each sender
    assert starts.count(cuda_integrate.integrate_batch) == (9 if n_senders == 1 else 0)
    assert starts.count(cuda_integrate.integrate_depth_first) == (18 if n_senders == 2 else 0)


def test_a_readout_layer_gives_its_whole_sums(rng):
    weights = rng.integers(-100, 128, (4, 1, 3, 3))
    core = Core("sum", weights, 127, -32768, (1, 3, 3), readout="potential")
    program = Program((core,), InputStage((1, 3, 3)), chip="unbounded")
    streams = [programs.random_events(rng, (1, 3, 3), n) for n in (7, 12)]
    sums = [
        recording.layer(-1).potentials
        for recording in (play_on(device, program, streams) for device in ("cpu", "cuda"))
    ]
    expected = [
        sum(weights[:, 0, y, x] for y, x in events[["y", "x"]].tolist()) for events in streams
    ]
    assert np.array_equal(sums[1].reshape(2, 4), expected)
    assert np.array_equal(*sums)


def play_on(device, program, streams, **options):
    with open_board("twin", device=device) as board:
        board.load(program)
        return board.play(streams, **options)


@pytest.mark.parametrize("n_senders", [1, 2])
def test_counts_alone_and_one_layer_alone_are_the_same(rng, n_senders):
    program = programs.random_chain(rng, 2)
    if n_senders == 2:
        twice = program.input.destinations * 2
        program = replace(program, input=replace(program.input, destinations=twice))
    streams = [programs.random_events(rng, program.input.shape, 6) for _ in range(2)]
    found, expected = (
        play_on(device, program, streams, monitor=[-1], keep_events=False)
        for device in ("cuda", "cpu")
    )
    assert np.array_equal(found.counts(-1), expected.counts(-1))
    assert found.layers[0].events is None


def test_no_samples_give_an_empty_recording(rng):
    program = programs.random_chain(rng, 2)
    assert play_on("cuda", program, []).counts(0).shape[0] == 0


def test_a_stream_in_blocks_goes_on_where_it_stood(rng):
    program = programs.with_leaks_and_decimators(rng, programs.random_chain(rng, 2))
    blocks = [programs.random_events(rng, program.input.shape, n) for n in (5, 0, 7)]
    settings = TwinSettings(slow_clock_period=9)
    results = []
    for device in ("cpu", "cuda"):
        with Twin(settings=settings, device=device) as twin:
            twin.load(program)
            twin.write_neurons(twin.read_neurons(0) + np.int16(3), 0)
            streamed = twin.play_stream(blocks)
            after = twin.play(blocks[0], reset=False)
            counts = [recording.counts(i) for recording in (streamed, after) for i in range(2)]
            results.append([*counts, twin.read_neurons(0), twin.read_neurons(1)])
    assert all(map(np.array_equal, *results))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"synops_per_second": 1e6}, "synops_per_second"),
        ({"parallel_window": 3}, "parallel_window"),
        ({"engine_times": EngineTimes()}, "engine_times"),
        ({"slow_clock_period": 5, "leak_spikes": "at tick"}, "leak_spikes"),
        ({"overflow": "compare before cutting to 16 bits"}, "overflow"),
    ],
)
def test_what_a_gpu_does_not_play_is_refused_by_name(settings, name):
    core = Core("leaky", np.ones((1, 1, 1, 1), np.int8), 1, 0, (1, 1, 1), bias=np.ones(1))
    program = Program((core,), InputStage((1, 1, 1)), chip="unbounded")
    with (
        Twin(settings=TwinSettings(**settings), device="cuda") as twin,
        pytest.raises(BoardError, match=f"twin setting {name} is .*play on device 'cpu'"),
    ):
        twin.load(program)


def test_more_layers_than_a_walk_has_frames_for_are_refused():
    cores = [Core(f"layer{i}", np.ones((1, 1, 1, 1), np.int8), 1, 0, (1, 1, 1)) for i in range(33)]
    stage = InputStage((1, 1, 1), destinations=(Destination(0), Destination(0)))
    program = Program(tuple(cores), stage, chip="unbounded")
    with (
        Twin(device="cuda") as twin,
        pytest.raises(BoardError, match="a program of 33 layers in which some have several"),
    ):
        twin.load(program)


@pytest.mark.parametrize("play", ["play", "play_stream"])
def test_what_the_driver_says_is_one_line(rng, monkeypatch, play):
    def allocate(shape, dtype):
        raise CudaAPIError(*error)

    error = ["[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"]
    error = error if SIMULATED else [2, error[0]]
    program = programs.random_chain(rng, 1)
    events = programs.random_events(rng, program.input.shape, 3)
    with open_board("twin:cuda") as board:
        board.load(program)
        monkeypatch.setattr(gpu_core, "allocate", allocate)
        with pytest.raises(
            BoardError, match=r"driver failed .*OUT_OF_MEMORY.*device 'cpu'"
        ) as told:
            getattr(board, play)([events])
    assert "\n" not in str(told.value)


def test_an_error_that_is_not_the_drivers_is_not_taken_for_one(rng, monkeypatch):
    program = programs.random_chain(rng, 1)
    with open_board("twin:cuda") as board:
        board.load(program)
        monkeypatch.setattr(gpu_core, "SPIKES_PER_START", None)
        with pytest.raises(TypeError):
            board.load(program)


@pytest.mark.parametrize("n_senders", [1, 2])
def test_samples_that_are_done_make_room_before_the_next_ones_come(rng, monkeypatch, n_senders):
    alive = []

    def allocate(shape, dtype):
        array = cuda_device.allocate(shape, dtype)
        alive.append(weakref.ref(array))
        most.append(sum(reference() is not None for reference in alive))
        return array

    monkeypatch.setattr(gpu_core, "allocate", allocate)
    monkeypatch.setattr(gpu_graph, "allocate", allocate)
    core = Core("layer", np.ones((1, 1, 1, 1), np.int8), 1, 0, (1, 1, 1))
    stage = InputStage((1, 1, 1), destinations=(Destination(0),) * n_senders)
    program = Program((core,), stage, chip="unbounded")
    streams = [programs.random_events(rng, (1, 1, 1), 2) for _ in range(3)]
    numbers = []
    for at_once in (3, 1):
        most = []
        monkeypatch.setattr(gpu_twin, "SAMPLES_AT_ONCE", at_once)
        play_on("cuda", program, streams, keep_events=False)
        numbers.append(max(most))
    assert numbers[0] == numbers[1] > 0


@pytest.mark.parametrize("n_senders", [1, 2])
@pytest.mark.parametrize("keep_events", [True, False])
def test_a_sample_takes_no_more_room_than_was_counted(rng, monkeypatch, n_senders, keep_events):
    taken = []

    def allocate(shape, dtype):
        taken.append(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return cuda_device.allocate(shape, dtype)

    monkeypatch.setattr(gpu_core, "allocate", allocate)
    monkeypatch.setattr(gpu_graph, "allocate", allocate)
    wide = Core("wide", np.zeros((9000, 1, 1, 1), np.int8), 1, 0, (1, 1, 1))
    small = Core("small", np.zeros((1, 1, 1, 1), np.int8), 1, 0, (1, 1, 1))
    small = replace(small, destinations=(Destination(1),))
    stage = InputStage((1, 1, 1), destinations=(Destination(0), Destination(1))[:n_senders])
    program = Program((small, wide), stage, chip="unbounded")
    counted = GpuTwin(Graph(program, TwinSettings())).bytes_per_sample(with_times=keep_events)
    events = programs.random_events(rng, (1, 1, 1), 2)
    play_on("cuda", program, [events], keep_events=keep_events)
    assert sum(taken) <= counted


@pytest.mark.parametrize("reset", [True, False])
def test_a_gpu_without_room_for_one_sample_is_told(rng, monkeypatch, reset):
    monkeypatch.setattr(gpu_twin, "free_memory", lambda: 1000)
    program = programs.random_chain(rng, 1)
    samples = [programs.random_events(rng, program.input.shape, 3)]
    with pytest.raises(BoardError, match="one sample takes 0 MiB of the GPU"):
        play_on("cuda", program, samples, reset=reset)


def test_a_recording_names_the_device(rng):
    program = programs.random_chain(rng, 1)
    with open_board("twin:cuda") as board:
        board.load(program)
        provenance = board.play([]).provenance
    assert (provenance.board, provenance.kind) == ("twin:cuda", "twin")
    assert provenance.settings["device"] == "cuda"
