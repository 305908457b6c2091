"""The main job: play recordings on a board, its twin and in torch, and report the differences."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speckflex._support.run_folder import RunFolder, new_run
from speckflex._support.text import printable
from speckflex.analysis.core_load import measure_load
from speckflex.analysis.ensemble import play_ensemble
from speckflex.analysis.synops import add_synops
from speckflex.boards import open_board
from speckflex.boards.choosing import ChosenBoard, chip_for, choose_board
from speckflex.boards.family import BoardName
from speckflex.boards.probe_file import ProbeFile
from speckflex.boards.twin import Twin
from speckflex.conversion.model import ConvertedModel, Sensor, convert_model, read_model
from speckflex.data import EventDataset, open_dataset
from speckflex.data.dataset import UNKNOWN, fitting_options
from speckflex.data.order import OrderWatch
from speckflex.deployment._display import deployment_html, deployment_line
from speckflex.deployment._players import Players, play_dataset
from speckflex.deployment._rate import twin_at_rate
from speckflex.deployment._run_facts import run_facts
from speckflex.deployment.explain import explain
from speckflex.deployment.progress import Progress, ignore
from speckflex.errors import EventsError, FileFormatError
from speckflex.events.perturbation import Perturbation
from speckflex.events.streams import as_events, make_events
from speckflex.program.program import Program
from speckflex.report.bars import Bars
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from torch import nn

    from speckflex.analysis.core_load import LayerLoad
    from speckflex.analysis.ensemble import Ensemble
    from speckflex.boards import Board
    from speckflex.deployment._players import Play, Played
    from speckflex.deployment.progress import Watch
    from speckflex.program.records import Shape
    from speckflex.recordings.recording import Recording
    from speckflex.report.facts import LayerEffect
    from speckflex.report.record import Report

    Model: TypeAlias = str | Path | ConvertedModel | Program | nn.Module
    Data: TypeAlias = str | Path | EventDataset | np.ndarray | Sequence[np.ndarray]

RECORDING = "recording-{}.h5"
ROLES = ("torch", "folded", "eight-bit", "twin", "chip", "repeat")
AT_RATE = "at rate"  # the player of a twin whose cores take their time
# what progress calls the players
STAGES = {
    "torch": "torch network",
    "folded": "folded network",
    "eight-bit": "8 bits in time steps",
    "repeat": "second play",
    AT_RATE: "twin at the rate",
}
SAMPLES_PER_THREAD = 2  # that the twin takes at a time, so that its progress moves

__all__ = ["DeploySettings", "Deployment", "deploy"]


@dataclass(frozen=True)
class DeploySettings:
    """How a deployment plays its samples.

    Args:
        bins: number of time steps of the torch reference.
        events_of: number of first samples that keep their spikes; the others keep counts only.
        threads: threads of the twin; None for one per processor.
        batch: number of samples that one board plays before the next board plays them; progress
            is reported after each batch. A board whose samples take their own time, such as a
            chip, plays and reports them one by one.
        repeat: play every sample twice on a board that may not repeat itself, such as a chip.
            Their difference is the noise floor: a smaller difference has no meaning.
        ensemble: number of plays of the first samples on the twin with small changes; 0 for none.
        perturbation: the changes of these plays.
        seed: seed of these plays.
        slow_clock: frequency of the slow clock of the twin that plays beside the chosen board,
            Hz; None for no slow clock.
        bars: what the report has to reach.
        rate: synaptic operations per second of a core, at which the load is measured and the
            twin plays once more, its input lost where a core has no room; None to measure the
            load at the rate of the chip's record, and not to play so.
        probe: file of `speckflex probe` that the twin beside the chosen board opens with; "" for
            none.
        explain: number of first samples with which the effect of each layer is measured; 0 for
            none.
        early_exit: whether to measure how soon the output can be read: accuracy over time, and
            the rules of `early_exit`.
        command: what the user typed, for the report; "" for nothing.
        input_shape: (channel, y, x) of the events, where neither the model nor the data states
            it; None to find it.
    """

    bins: int = 10
    events_of: int = 32
    threads: int | None = None
    batch: int = 32
    repeat: bool = True
    ensemble: int = 0
    perturbation: Perturbation = field(default_factory=Perturbation)
    seed: int = 0
    slow_clock: float | None = None
    bars: Bars = field(default_factory=Bars)
    rate: float | None = None
    probe: str = ""
    explain: int = 0
    early_exit: bool = False
    command: str = ""
    input_shape: Shape | None = None

    @cached_property
    def of_twin(self) -> TwinSettings:
        """The settings of the twin that plays beside the chosen board."""
        settings = TwinSettings.ticking(self.slow_clock)
        return ProbeFile.load(self.probe).applied_to(settings) if self.probe else settings


@dataclass(frozen=True, eq=False)
class Deployment:
    """The result of a deployment.

    Args:
        model: the model that ran.
        recordings: the recordings that there are of "torch" (the network as it was given),
            "folded", "eight-bit" (the program's integers in time steps), "twin", "chip" and
            "repeat" (the second run of the chip).
        report: how far they differ; the content of report.json.
        run: what all files of this deployment have in common, and those of no other.
    """

    model: ConvertedModel
    recordings: dict[str, Recording]
    report: Report
    run: str = ""

    def __repr__(self) -> str:
        return deployment_line(self.report)

    def _repr_html_(self) -> str:
        return deployment_html(self.report)

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the deployment before its end."""
        return self.report.run is not None and self.report.run.interrupted

    def save(self, folder: str | Path | RunFolder) -> list[Path]:
        """Write program, recordings and reports into a folder; return the files.

        The files get their names together, when all are written, the reports last. All have the
        run's identifier. Recordings of an earlier run in the folder are removed.

        Args:
            folder: its path, or a folder that was claimed before the samples were played.

        Raises:
            FileFormatError: a file can't be written, or another process is writing into the
                folder. The other files are written in the first case.
        """
        if not isinstance(folder, RunFolder):
            with RunFolder(folder, FileFormatError) as claimed:
                return self.save(claimed)
        from speckflex.report import save_report

        program = self.model.program
        marked = replace(program, metadata={**program.metadata, "run": self.run})
        folder.write("program.speck", marked.save)
        for name, recording in self.recordings.items():
            folder.write(RECORDING.format(name), recording.save)
        save_report(self.report, folder)
        return folder.finish(stale=tuple(map(RECORDING.format, ROLES)))


def deploy(
    model: Model,
    data: Data,
    board: str | ChosenBoard = "speck2e",
    *,
    samples: int | None = None,
    settings: DeploySettings | None = None,
    progress: Watch = ignore,
) -> Deployment:
    """Play recordings on a board, on its twin and in torch, and compare: `speckflex deploy`.

    After the samples, the load of the cores is measured and the ensemble is played. A keyboard
    interrupt ends either; the report covers what was played before.

    Args:
        model: a `.pt`, `.nir` or `.speck` file, a network in memory, a program, or what
            `read_model` returns.
        data: the name or path of a data set, as for `open_dataset`, whose test split is used; a
            data set; or the events of one or more samples without labels.
        board: a name as for `open_board`, such as "twin", where "speck2e" is the attached chip or
            else its twin; or a board from `choose_board`, which stays open.
        samples: number of recordings to play, balanced over the classes; None for all.
        settings: how the samples are played.
        progress: called with each step.

    Raises:
        EventsError: the data set is empty or does not have the program's input shape.
        SpeckflexError: the model, the data or the board can't be used; the message says why.
    """
    settings = settings or DeploySettings()
    progress(Progress("opening the recordings"))
    dataset = _recordings(data).balanced(samples)
    asked = board if isinstance(board, str) else board.asked
    converted = _converted(model, dataset, (asked, settings.input_shape), progress)
    if not dataset.shape_stated:
        dataset = dataset.on_sensor(converted.program.input.shape)
    _check_dataset(converted, dataset)
    if isinstance(board, ChosenBoard):
        return _deploy(converted, dataset, board, settings, progress)
    chosen = choose_board(board, threads=settings.threads)
    with chosen.board:
        return _deploy(converted, dataset, chosen, settings, progress)


def _recordings(data: Data) -> EventDataset:
    """Return a data set; arrays of events are one without labels, and without a sensor."""
    if isinstance(data, EventDataset):
        return data
    if isinstance(data, str | Path):
        return open_dataset(data)
    items = (data,) if isinstance(data, np.ndarray) else tuple(data)
    return EventDataset(
        name="events in memory",
        shape=(1, 1, 1),
        classes=(),
        labels=np.full(len(items), UNKNOWN),
        synthetic=False,
        items=items,
        read=as_events,
        shape_stated=False,
    )


def _converted(
    model: Model, dataset: EventDataset, target: tuple[str, Shape | None], watch: Watch
) -> ConvertedModel:
    """Return the program of a model, with its network if there is one.

    Args:
        model: the model.
        dataset: the recordings.
        target: name of the board, and the shape of the input where it was given.
        watch: called with each step.
    """
    if isinstance(model, ConvertedModel):
        return model
    if isinstance(model, Program):
        return ConvertedModel(Path("program in memory"), model)
    board, input_shape = target
    chip = chip_for(board)
    sensor = Sensor(dataset.shape) if dataset.shape_stated else None
    shape = input_shape or sensor

    def tell(stage: str) -> None:
        watch(Progress(stage))

    if isinstance(model, str | Path):
        return read_model(model, input_shape=shape, chip=chip, progress=tell)
    return convert_model(model, input_shape=shape, chip=chip, progress=tell)


def _deploy(
    model: ConvertedModel,
    dataset: EventDataset,
    chosen: ChosenBoard,
    settings: DeploySettings,
    watch: Watch,
) -> Deployment:
    # imported here, since the command prints the name of the board before it waits for imports
    from speckflex.report.build import report_of
    from speckflex.report.evidence import gather_evidence

    settings = replace(settings, probe=settings.probe or BoardName.parse(chosen.asked).probe)
    with _players(model, chosen, settings, watch) as players:
        played, warnings = _play(players, dataset, model.program, settings, watch)
    run_id = new_run()
    recordings = {
        name: _with_origin(recording, dataset, run_id)
        for name, recording in played.recordings(dataset.labels).items()
    }
    at_rate = recordings.pop(AT_RATE, None)
    outlook = _outlook(model, dataset, settings, played, watch)
    watch(Progress("report"))
    evidence = gather_evidence(
        model.program,
        recordings,
        input_events=played.events,
        checks=model.checks,
        synops=add_synops(played.synops),
    )
    run = run_facts(
        model,
        dataset,
        chosen,
        bins=settings.bins,
        command=settings.command,
        warnings=warnings,
    )
    evidence = replace(
        evidence,
        synthetic=dataset.synthetic,
        command=printable(settings.command),
        run=replace(run, interrupted=outlook.interrupted),
        loads=outlook.loads,
        at_rate=at_rate,
        rate=settings.rate,
        opened=played.opened,
        ensemble=outlook.ensemble,
        effects=outlook.effects,
        bars=settings.bars,
        readings=played.readings.by_role,
        steps=played.readings.steps,
        unread=played.readings.problem,
    )
    return Deployment(model, recordings, report_of(evidence), run_id)


def _play(
    players: Players,
    dataset: EventDataset,
    program: Program,
    settings: DeploySettings,
    watch: Watch,
) -> tuple[Played, tuple[str, ...]]:
    """Return what all players played, and what is wrong with the order of the events."""
    order = OrderWatch()
    played = play_dataset(
        players,
        order.over(dataset),
        program,
        batch=settings.batch,
        events_of=settings.events_of,
        watch=watch,
    )
    return played, tuple(order.warnings)


def _with_origin(recording: Recording, dataset: EventDataset, run: str) -> Recording:
    """Return a recording whose provenance says its run, and what was done to its input."""
    provenance = recording.provenance
    settings = {**provenance.settings, "run": run}
    if dataset.changes:
        settings["input"] = "; ".join(dataset.changes)
    return replace(recording, provenance=replace(provenance, settings=settings))


@contextmanager
def _players(
    model: ConvertedModel, chosen: ChosenBoard, settings: DeploySettings, watch: Watch
) -> Iterator[Players]:
    """Yield torch networks, twin and board, each with the program loaded."""
    board, family = chosen.board, chosen.family
    names = {"chip": board.name, **STAGES}
    reading = settings.early_exit or settings.bars.min_accuracy_at is not None
    players = Players(_references(model, settings.bins), names=names, reading=reading)
    watch(Progress("loading or compiling the twin's kernels"))
    with ExitStack() as stack:
        if not family.is_twin:
            twin = stack.enter_context(
                open_board("twin", threads=settings.threads, settings=settings.of_twin)
            )
            twin.load(model.program)
            players.in_batches["twin"] = twin.play
            _make_ready(twin, players, settings)
        board.load(model.program)
        if family.is_twin:
            _make_ready(board, players, settings)
        plays = players.one_by_one if family.one_by_one else players.in_batches
        plays["twin" if family.is_twin else "chip"] = board.play
        if settings.repeat and not family.repeats:
            plays["repeat"] = board.play
        if settings.rate is not None:
            rated = twin_at_rate(model.program, settings.rate, settings.of_twin, settings.threads)
            players.in_batches[AT_RATE] = stack.enter_context(rated).play
        yield players


def _make_ready(twin: Board, players: Players, settings: DeploySettings) -> None:
    """Load the kernels of a twin, or compile them, and let its progress move."""
    twin.play(make_events(*np.zeros((4, 0), np.int64)), keep_events=False)
    # spikes of engines that compute in parallel are drawn by the position in a call
    drawn = isinstance(twin, Twin) and twin.settings.parallel_window > 1
    if not drawn:
        threads = settings.threads or os.cpu_count() or 1
        players.in_steps["twin"] = SAMPLES_PER_THREAD * threads


def _references(model: ConvertedModel, bins: int) -> dict[str, Play]:
    """Return the functions that play the network as given, folded and in 8 bits, by name."""
    if model.network is None:
        return {}
    from speckflex.deployment.eight_bit import EightBitSteps
    from speckflex.deployment.torch_reference import TorchReference

    given = model.network if model.trained is None else model.trained
    folded = model.folding.layers if model.folding else ()
    norms = {layer.layer: layer.norms[-1] for layer in folded if layer.norms}
    players = {"torch": TorchReference(given, model.program, bins=bins, norms=norms).play}
    if model.trained is not None:
        folded_network = TorchReference(model.network, model.program, bins=bins, step="folded")
        players["folded"] = folded_network.play
    return {**players, "eight-bit": EightBitSteps(model.program, model.network, bins=bins).play}


@dataclass
class _Outlook:
    """Expectations about a chip; an interrupt may leave them incomplete.

    Args:
        loads: whether each core keeps up with the first samples.
        ensemble: plays of the first samples with small changes; None if there are none.
        effects: what each layer costs alone; empty if it was not asked for.
        interrupted: whether the user stopped the deployment.
    """

    loads: tuple[LayerLoad, ...] = ()
    ensemble: Ensemble | None = None
    effects: Sequence[LayerEffect] = ()
    interrupted: bool = False


def _outlook(
    model: ConvertedModel,
    dataset: EventDataset,
    settings: DeploySettings,
    played: Played,
    watch: Watch,
) -> _Outlook:
    """Measure load and effects, and play the ensemble, up to a keyboard interrupt."""
    program = model.program
    outlook = _Outlook(interrupted=played.interrupted)
    if outlook.interrupted:
        return outlook
    events = played.events
    try:
        watch(Progress("load of the cores"))
        outlook.loads = measure_load(
            program, events, synops_per_second=settings.rate, settings=settings.of_twin
        )
        if settings.ensemble:
            watch(Progress("ensemble"))
            ensemble = play_ensemble(
                program,
                events,
                settings.ensemble,
                perturbation=settings.perturbation,
                seed=settings.seed,
                settings=settings.of_twin,
            )
            outlook.ensemble = ensemble.with_labels(dataset.labels[: len(events)])
        if settings.explain:
            outlook.effects = explain(
                program,
                dataset[: settings.explain],
                network=model.network,
                bins=settings.bins,
                rate=settings.rate,
                settings=settings.of_twin,
                progress=watch,
            )
    except KeyboardInterrupt:
        outlook.interrupted = True
    return outlook


def _check_dataset(model: ConvertedModel, dataset: EventDataset) -> None:
    if not len(dataset):
        raise EventsError(f"{dataset.name}: holds no recording: choose another folder or split")
    expected = model.program.input.shape
    if tuple(dataset.shape) != tuple(expected):
        raise EventsError(
            f"{dataset.name}: its events have shape {tuple(dataset.shape)} (channel, y, x), the"
            f" network takes {tuple(expected)}: {fitting_options(dataset.shape, expected)}, choose"
            " other data, or convert with its shape"
        )
