"""The software twin of the chip: runs a Program's integers event by event, exactly."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from speckflex.boards._arguments import (
    BoardContext,
    alone,
    check_is_program,
    check_monitor,
    check_samples,
)
from speckflex.boards.software import check_device_name
from speckflex.chips.formats import NEURON_MAX, NEURON_MIN
from speckflex.errors import BoardError, BoardNotFoundError
from speckflex.events.streams import check_events
from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog
from speckflex.twin.machine import Machine, MachineModel
from speckflex.twin.parallel import PlayRequest, play_parallel
from speckflex.twin.settings import TwinSettings
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from speckflex.boards.software import Device
    from speckflex.program.program import Program
    from speckflex.twin.cores import RunningCore
    from speckflex.twin.gpu.twin import GpuTwin
    from speckflex.twin.graph import Graph
    from speckflex.twin.outputs import CoreLoad, SampleOutput

__all__ = ["Twin"]


class Twin(BoardContext):
    """A board of software: it takes a chip's Program and returns the spikes the chip should send.

    Attributes:
        loads: for each sample of the last play, how busy each core was; empty unless
            `settings.synops_per_second` says how fast a core works.

    Args:
        threads: how many samples run at the same time; None for one per processor.
        settings: choices about what nobody knows of the chip.
        device: "cpu", or "cuda" for an NVIDIA GPU, which plays all samples at once and gives the
            same spikes; this has only run in a simulator, never on a GPU.
        notes: further settings of its recordings' provenance, such as where the settings come from.

    Raises:
        BoardError: `threads` is no positive integer.
        BoardNotFoundError: the device is not known, or is missing.
    """

    name = "twin"
    kind = "twin"

    def __init__(
        self,
        *,
        threads: int | None = None,
        settings: TwinSettings | None = None,
        device: Device = "cpu",
        notes: Mapping[str, str] | None = None,
    ) -> None:
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise BoardError(f"threads is {threads!r}: give a positive integer, or None for all")
        self.threads = threads or _n_processors()
        self.settings = settings or TwinSettings()
        self._notes = dict(notes or {})
        self.loads: tuple[tuple[CoreLoad, ...], ...] = ()
        _check_device(device)
        self.device = device
        self.name = "twin" if device == "cpu" else f"twin:{device}"
        self._gpu: GpuTwin | None = None
        self._machines: list[Machine] = []
        self._closed = False

    @alone
    def load(self, program: Program) -> None:
        """Take in a program; what was loaded before is gone."""
        check_is_program(program)
        self._check_open()
        model = MachineModel(program, self.settings)
        gpu = _load_gpu(model.graph) if self.device == "cuda" else None
        # a program that is refused leaves the one before it in place
        self._machines, self._gpu = [Machine(model)], gpu
        self._sha256 = program.sha256

    @alone
    def play(
        self,
        events: np.ndarray | Sequence[np.ndarray],
        *,
        monitor: Sequence[int] | None = None,
        keep_events: bool = True,
        reset: bool = True,
    ) -> Recording:
        """Play one sample, or a list of them, and return what the layers spiked.

        With `reset`, samples run in parallel threads, and the neurons are left as the last
        sample left them. Without, samples run one after the other on the same neurons.

        Args:
            events: one structured array, or one per sample; fields t (µs), x, y, p.
            monitor: positions of the layers to record, -1 the last; None for all.
            keep_events: keep the spikes themselves, not their counts alone.
            reset: set every neuron to its initial state before each sample.

        Raises:
            BoardError: the board is closed, has no program, or a layer doesn't exist.
            EventsError: a sample is no event stream of the input's shape.
        """
        machine, graph = self._loaded()
        samples = check_samples(events, graph.program.input.shape)
        layers = check_monitor(monitor, len(graph.cores))
        started = datetime.now(timezone.utc).isoformat()
        request = PlayRequest(samples, layers, keep_events)
        if self._gpu is not None:
            outputs = self._gpu.play(request, machine, reset=reset)
        elif reset and min(self.threads, len(samples)) > 1:
            outputs = play_parallel(request, self._machines, self.threads)
        else:
            outputs = []
            for index, sample in enumerate(samples):
                if reset:
                    machine.reset()
                outputs.append(
                    machine.play([sample], layers, sample=index, keep_events=keep_events)
                )
        return self._recording(layers, [len(sample) for sample in samples], outputs, started)

    @alone
    def play_stream(
        self, blocks: Iterable[np.ndarray], *, monitor: Sequence[int] | None = None
    ) -> Recording:
        """Play one sample that comes in blocks, and return what the layers counted.

        No more than one block is held at a time, so a stream may be longer than the memory.
        The neurons start from their present state: see `reset`.

        Args:
            blocks: structured arrays, one after the other; fields t (µs), x, y, p.
            monitor: positions of the layers to record, -1 the last; None for all.

        Raises:
            BoardError: the board is closed, has no program, or a layer doesn't exist.
            EventsError: a block is no event stream of the input's shape.
        """
        machine, graph = self._loaded()
        layers = check_monitor(monitor, len(graph.cores))
        started = datetime.now(timezone.utc).isoformat()
        shape = graph.program.input.shape
        checked = (
            check_events(block, shape, source=f"block {index}")
            for index, block in enumerate(blocks)
        )
        if self._gpu is not None:
            output = self._gpu.play_stream(checked, machine, layers)
        else:
            output = machine.play(checked, layers, keep_events=False)
        return self._recording(layers, [output.accepted], [output], started)

    def loaded_sha256(self) -> str:
        """Return the hash of the program that runs, computed from its integers as they stand.

        Raises:
            BoardError: the board is closed or has no program.
        """
        return self._loaded()[1].program.sha256

    def read_neurons(self, layer: int = -1) -> np.ndarray:
        """Return the (channel, y, x) int16 potentials of a layer as they stand.

        Raises:
            BoardError: the board is closed, has no program, or no such layer.
        """
        return self._running(layer).state.transpose(2, 0, 1).copy()

    @alone
    def write_neurons(self, values: np.ndarray, layer: int = -1) -> None:
        """Set the potentials of a layer, until the next reset.

        Args:
            values: (channel, y, x) integers of 16 bits.
            layer: position in the network, -1 the last.

        Raises:
            BoardError: the shape or the range does not fit, or there is no such layer.
        """
        state = self._running(layer).state
        values = np.asarray(values)
        shape = (state.shape[2], *state.shape[:2])
        if values.shape != shape or values.dtype.kind not in "iu":
            raise BoardError(
                f"layer {layer}: potentials of dtype {values.dtype} and shape {values.shape}"
                f" do not fit: give integers of shape {shape} (channel, y, x)"
            )
        if values.min() < NEURON_MIN or values.max() > NEURON_MAX:
            raise BoardError(
                f"layer {layer}: potentials from {values.min()} to {values.max()}, a neuron holds"
                f" {NEURON_MIN} to {NEURON_MAX}: give 16-bit values"
            )
        state[:] = values.transpose(1, 2, 0)

    def reset(self) -> None:
        """Set every neuron to its initial state.

        Raises:
            BoardError: the board is closed or has no program.
        """
        self._loaded()[0].reset()

    def close(self) -> None:
        """Release the program; a closed board plays nothing."""
        self._closed = True
        self._machines, self._gpu = [], None

    def _check_open(self) -> None:
        if self._closed:
            raise BoardError("the twin is closed: open it again with open_board('twin')")

    def _loaded(self) -> tuple[Machine, Graph]:
        self._check_open()
        if not self._machines:
            raise BoardError("the twin has no program: call load(program) before playing")
        return self._machines[0], self._machines[0].model.graph

    def _running(self, layer: int) -> RunningCore:
        machine, _ = self._loaded()
        return machine.cores[check_monitor([layer], len(machine.cores))[0]]

    def _recording(
        self, layers: list[int], written: list[int], outputs: list[SampleOutput], started: str
    ) -> Recording:
        _, graph = self._loaded()
        self.loads = tuple(output.loads for output in outputs)
        return Recording(
            layers=tuple(
                _record(graph, outputs, index, position) for position, index in enumerate(layers)
            ),
            n_layers=len(graph.cores),
            samples=tuple(map(_log, written, outputs)),
            provenance=self._provenance(started),
        )

    def _provenance(self, started: str) -> Provenance:
        return Provenance(
            program_sha256=self._sha256,
            board=self.name,
            kind=self.kind,
            started=started,
            seed=self.settings.seed if self.settings.parallel_window > 1 else None,
            versions={"speckflex": __version__, **_library_versions()},
            settings={
                **self.settings.named(),
                "threads": str(self.threads),
                "device": self.device,
                "chip": self._loaded()[1].program.chip,
                **self._notes,
            },
        )


def _record(graph: Graph, outputs: list[SampleOutput], index: int, position: int) -> LayerRecord:
    core = graph.program.cores[index]
    layers = [output.layers[position] for output in outputs]
    empty = np.empty((0, *core.output_shape), np.int64)
    events = [layer.events for layer in layers if layer.events is not None]
    potentials = None
    if core.readout == "potential":
        sums = [layer.potentials for layer in layers if layer.potentials is not None]
        potentials = np.stack(sums) if sums else empty
    return LayerRecord(
        index=index,
        name=core.name,
        counts=np.stack([layer.counts for layer in layers]) if layers else empty,
        events=tuple(events) if len(events) == len(layers) else None,
        potentials=potentials,
    )


def _log(written: int, output: SampleOutput) -> SampleLog:
    dropped = sum(load.dropped for load in output.loads)
    return SampleLog(
        written=written,
        accepted=output.accepted,
        read=output.read,
        lost=written - output.accepted + dropped,
    )


def _check_device(device: str) -> None:
    check_device_name(device)
    if device == "cuda":
        # imported here alone, because it loads numba's part for GPUs
        try:
            from speckflex.twin.gpu.twin import check_gpu
        except ImportError as error:
            reason = str(error).split("\n")[0]
            raise BoardNotFoundError(
                f"the twin's device is 'cuda' and numba's part for GPUs can't be loaded ({reason}):"
                " pip install 'speckflex[cuda]', or play on device 'cpu'"
            ) from error
        check_gpu()


def _load_gpu(graph: Graph) -> GpuTwin:
    from speckflex.twin.gpu.twin import GpuTwin

    return GpuTwin(graph)


def _n_processors() -> int:
    """Return how many processors this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _library_versions() -> dict[str, str]:
    return {name: version(name) for name in ("numpy", "numba")}
