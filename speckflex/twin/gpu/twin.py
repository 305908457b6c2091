"""The twin on a GPU: many samples at once, each a thread block of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from speckflex.errors import BoardError, BoardNotFoundError
from speckflex.kernels.cuda_device import (
    compiler_fault,
    free_memory,
    is_available,
    is_compiler_available,
)
from speckflex.kernels.cuda_integrate import MOST_FRAMES
from speckflex.twin.gpu._core import DeviceCore
from speckflex.twin.gpu._graph import DeviceGraph, GraphPassage
from speckflex.twin.gpu._samples import DeviceSamples
from speckflex.twin.gpu._tree import TreePassage
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np

    from speckflex.twin.graph import Graph
    from speckflex.twin.machine import Machine
    from speckflex.twin.outputs import SampleOutput
    from speckflex.twin.parallel import PlayRequest

__all__ = ["GpuTwin", "check_gpu"]

# Settings under which samples play on a CPU alone: there they have their defaults.
CPU_SETTINGS = ("synops_per_second", "parallel_window", "engine_times", "withheld_spike")
GPU_OVERFLOWS = ("saturate", "wrap")
LEAKING_SETTINGS = (*CPU_SETTINGS, "leak_spikes")
MEMORY_SHARE = 0.5  # of what is free, so that others' arrays and the driver's have room
SAMPLES_AT_ONCE = 4096
# Where the errors of numba's driver, of its simulator and of NVIDIA's bindings are defined; they
# have no class in common.
DRIVERS = ("numba.cuda.cudadrv.", "numba.cuda.simulator.cudadrv.", "cuda.")


def check_gpu() -> None:
    """Make sure that there is a GPU and what compiles for it.

    Raises:
        BoardNotFoundError: something is missing.
    """
    with _driver_failures():
        available = is_available()
    if not available:
        raise BoardNotFoundError(
            "the twin's device is 'cuda' and there is no GPU with NVIDIA's driver: attach one, or"
            " play on device 'cpu'"
        )
    if not is_compiler_available():
        raise BoardNotFoundError(
            "the twin's device is 'cuda' and what compiles for it is missing: pip install"
            " 'speckflex[cuda]', or play on device 'cpu'"
        )
    if fault := compiler_fault():
        raise BoardNotFoundError(
            f"the twin's device is 'cuda' and numba-cuda does not work with this numpy ({fault}):"
            " pip install 'speckflex[cuda]', or play on device 'cpu'"
        )


class GpuTwin:
    """Plays samples on a GPU, and leaves the last one's neurons to the CPU's machine.

    Args:
        graph: of the program.

    Raises:
        BoardError: a GPU can't play the program or the settings, or its driver fails.
    """

    def __init__(self, graph: Graph) -> None:
        _check_settings(graph)
        _check_size(graph)
        self._graph = graph
        with _driver_failures():
            self._cores = [DeviceCore(core) for core in graph.cores]
            self._merging = DeviceGraph(graph, self._cores) if graph.merges else None

    def play(self, request: PlayRequest, machine: Machine, *, reset: bool) -> list[SampleOutput]:
        """Return every sample's output.

        Args:
            request: the samples.
            machine: has the neurons that the first sample goes on from without `reset`, and
                gets those of the last one.
            reset: set every neuron to its initial state before each sample.

        Raises:
            BoardError: the GPU has no room for one sample, or its driver fails.
        """
        outputs: list[SampleOutput] = []
        with _driver_failures():
            n_at_once = min(self._n_at_once(request), SAMPLES_AT_ONCE if reset else 1)
            for start in range(0, len(request.samples), n_at_once):
                samples = request.samples[start : start + n_at_once]
                outputs += self._play_at_once(samples, request, machine, reset=reset)
        return outputs

    def play_stream(
        self, blocks: Iterable[np.ndarray], machine: Machine, monitor: Sequence[int]
    ) -> SampleOutput:
        """Play one sample that comes in blocks, on the machine's neurons, and count spikes.

        Raises:
            BoardError: the GPU's driver fails, also when the GPU has too little memory.
        """
        with _driver_failures():
            played = self._begin(monitor, 1, keep_events=False)
            played.take(machine)
            for block in blocks:
                played.feed([block])
            played.give(machine)
            return played.outputs()[0]

    def bytes_per_sample(self, *, with_times: bool) -> int:
        """Return how much of the GPU's memory the neurons and spikes of one sample take."""
        if self._merging is not None:
            return self._merging.bytes_per_sample(with_times=with_times)
        return sum(core.bytes_per_sample(with_times=with_times) for core in self._cores)

    def _play_at_once(
        self, samples: Sequence[np.ndarray], request: PlayRequest, machine: Machine, *, reset: bool
    ) -> list[SampleOutput]:
        # what these samples take of the memory is free again when this returns
        played = self._begin(request.layers, len(samples), keep_events=request.keep_events)
        played.begin() if reset else played.take(machine)
        played.feed(samples)
        played.give(machine)
        return played.outputs()

    def _begin(self, monitor: Sequence[int], n_samples: int, *, keep_events: bool) -> DeviceSamples:
        with_times = keep_events and bool(monitor)
        if self._merging is not None:
            passage = GraphPassage(self._merging, n_samples, with_times=with_times)
        else:
            passage = TreePassage(self._graph, self._cores, n_samples, with_times=with_times)
        return DeviceSamples(self._graph, passage, monitor, keep_events=keep_events)

    def _n_at_once(self, request: PlayRequest) -> int:
        """Return how many samples the GPU has room for."""
        most_events = max(map(len, request.samples), default=0)
        # an address and a time for each event
        each = self.bytes_per_sample(with_times=request.keep_events) + 12 * most_events
        room = MEMORY_SHARE * free_memory()
        if room < each:
            raise BoardError(
                f"one sample takes {each / 2**20:.0f} MiB of the GPU and may take"
                f" {room / 2**20:.0f}, a share of {MEMORY_SHARE:.0%} of what is free: free some, or"
                " play on device 'cpu'"
            )
        return int(min(room / each, len(request.samples) + 1))


def _check_settings(graph: Graph) -> None:
    defaults, settings = TwinSettings(), graph.settings
    leaks = graph.leaks and settings.has_slow_clock
    for name in LEAKING_SETTINGS if leaks else CPU_SETTINGS:
        value, default = getattr(settings, name), getattr(defaults, name)
        if value != default:
            raise BoardError(
                f"twin setting {name} is {value!r}, which a GPU doesn't play: leave it at"
                f" {default!r}, or play on device 'cpu'"
            )
    if settings.overflow not in GPU_OVERFLOWS:
        raise BoardError(
            f"twin setting overflow is {settings.overflow!r}, which a GPU doesn't play: choose one"
            f" of {', '.join(GPU_OVERFLOWS)}, or play on device 'cpu'"
        )


def _check_size(graph: Graph) -> None:
    n_cores, most = len(graph.cores), MOST_FRAMES - 1
    if graph.merges and n_cores > most:
        raise BoardError(
            f"a program of {n_cores} layers in which some have several senders: a GPU plays such"
            f" programs of up to {most} layers, play on device 'cpu'"
        )


@contextmanager
def _driver_failures() -> Iterator[None]:
    """Tell in one line what the GPU's driver says, such as that its memory is full."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(DRIVERS):
            raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BoardError(
            f"the GPU's driver failed ({reason}): end what else uses the GPU, play fewer samples at"
            " a time, or play on device 'cpu'"
        ) from error
