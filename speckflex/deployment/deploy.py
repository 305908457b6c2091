"""The main job: play recordings on a board, its twin and in torch, and report the differences."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speckflex._support.run_folder import RunFolder, new_run
from speckflex.boards.choosing import ChosenBoard, chip_for, choose_board
from speckflex.boards.family import BoardName
from speckflex.boards.probe_file import ProbeFile
from speckflex.conversion.model import ConvertedModel, Sensor, convert_model, read_model
from speckflex.data import EventDataset, open_dataset
from speckflex.data.dataset import UNKNOWN, fitting_options
from speckflex.data.order import OrderWatch
from speckflex.deployment._display import deployment_html, deployment_line
from speckflex.deployment._opening import open_players
from speckflex.deployment._outlook import Outlook, look_out
from speckflex.deployment._players import Collected, Kept, play_share
from speckflex.deployment._result import Background, report_on
from speckflex.deployment._run_facts import run_facts
from speckflex.deployment.progress import Progress, ignore
from speckflex.errors import EventsError, FileFormatError
from speckflex.events.perturbation import Perturbation
from speckflex.events.streams import as_events
from speckflex.program.program import Program
from speckflex.report.bars import Bars
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    from torch import nn

    from speckflex.deployment.progress import Watch
    from speckflex.program.records import Shape
    from speckflex.recordings.recording import Recording
    from speckflex.report.record import Report

    Model: TypeAlias = str | Path | ConvertedModel | Program | nn.Module
    Data: TypeAlias = str | Path | EventDataset | np.ndarray | Sequence[np.ndarray]

RECORDING = "recording-{}.h5"
ROLES = ("torch", "folded", "eight-bit", "twin", "chip", "repeat")

__all__ = ["DeploySettings", "Deployment", "Job", "deploy", "deployment_of", "prepared"]


@dataclass(frozen=True)
class DeploySettings:
    """How a deployment plays its samples.

    Args:
        bins: number of time steps of the torch reference.
        events_of: number of first samples that keep their spikes, rounded up to whole batches.
        counts_of: number of first samples whose recordings are kept, with the counts of every
            neuron; None for as many as fit into 128 MiB. Of the other samples only sums are kept,
            and what the report says about each. All figures are over all samples.
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
    counts_of: int | None = None
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

    @property
    def kept(self) -> Kept:
        """What is kept of the first samples."""
        return Kept(self.batch, -(-self.events_of // self.batch) * self.batch, self.counts_of)


@dataclass(frozen=True, eq=False)
class Deployment:
    """The result of a deployment.

    Args:
        model: the model that ran.
        recordings: the recordings that there are of "torch" (the network as it was given),
            "folded", "eight-bit" (the program's integers in time steps), "twin", "chip" and
            "repeat" (the second run of the chip): of the first samples, see
            `DeploySettings.counts_of`.
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
    with prepared(model, data, board, samples=samples, settings=settings, progress=progress) as job:
        collected, order = Collected(), OrderWatch()
        interrupted = job.play(range(len(job.dataset)), collected, order, progress)
        return deployment_of(job, collected, order, progress, interrupted=interrupted)


@dataclass(frozen=True, eq=False)
class Job:
    """A deployment that is ready to play.

    Args:
        model: the program, and its network if there is one.
        dataset: all recordings, on the program's input.
        chosen: the board, open.
        settings: how the samples are played.
    """

    model: ConvertedModel
    dataset: EventDataset
    chosen: ChosenBoard
    settings: DeploySettings

    def play(
        self,
        share: range,
        collected: Collected,
        order: OrderWatch,
        watch: Watch,
        after: Callable[[], object] | None = None,
    ) -> bool:
        """Play some recordings on all players, and return whether the user stopped it.

        Args:
            share: their positions in the data set.
            collected: takes what was played.
            order: notes what is wrong with the order of the events.
            watch: called with each step.
            after: called after each part that all players have played.

        Raises:
            KeyboardInterrupt: no sample was played before the interrupt.
        """
        dataset, kept = order.over(self.dataset), self.settings.kept
        with open_players(self.model, self.chosen, self.settings, watch) as players:
            try:
                for _ in play_share(players, dataset, share, kept, collected, watch):
                    if after is not None:
                        after()
            except KeyboardInterrupt:
                if collected.whole is None:
                    raise
                return True
        return False

    def background(self, order: OrderWatch) -> Background:
        """Return what a report says besides what was played."""
        settings = self.settings
        return Background(
            program=self.model.program,
            checks=self.model.checks,
            run=run_facts(
                self.model,
                self.dataset,
                self.chosen,
                bins=settings.bins,
                command=settings.command,
                warnings=tuple(order.warnings),
            ),
            synthetic=self.dataset.synthetic,
            command=settings.command,
            rate=settings.rate,
            bars=settings.bars,
        )


@contextmanager
def prepared(
    model: Model,
    data: Data,
    board: str | ChosenBoard,
    *,
    samples: int | None = None,
    settings: DeploySettings | None = None,
    progress: Watch = ignore,
) -> Iterator[Job]:
    """Yield a deployment that is ready to play; arguments and errors of `deploy`."""
    settings = settings or DeploySettings()
    progress(Progress("opening the recordings"))
    dataset = _recordings(data).balanced(samples)
    asked = board if isinstance(board, str) else board.asked
    settings = replace(settings, probe=settings.probe or BoardName.parse(asked).probe)
    converted = _converted(model, dataset, (asked, settings.input_shape), progress)
    if not dataset.shape_stated:
        dataset = dataset.on_sensor(converted.program.input.shape)
    _check_dataset(converted, dataset)
    if isinstance(board, ChosenBoard):
        yield Job(converted, dataset, board, settings)
        return
    chosen = choose_board(board, threads=settings.threads)
    with chosen.board:
        yield Job(converted, dataset, chosen, settings)


def deployment_of(
    job: Job, collected: Collected, order: OrderWatch, watch: Watch, *, interrupted: bool
) -> Deployment:
    """Return the report on what was played, after load, ensemble and effects were measured.

    Args:
        job: the deployment.
        collected: what was played, from the first recording on.
        order: what is wrong with the order of the events.
        watch: called with each step.
        interrupted: whether the user stopped the playing; then nothing more is measured.
    """
    played = collected.whole
    assert played is not None  # noqa: S101 - something was played, or an interrupt came through
    outlook = Outlook(interrupted=True)
    if not interrupted:
        outlook = look_out(job.model, job.dataset, job.settings, played.events, watch)
    watch(Progress("report"))
    run_id = new_run()
    report, recordings = report_on(played, job.background(order), outlook, run_id)
    return Deployment(job.model, recordings, report, run_id)


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
