"""The main job: play recordings on a board, its twin and torch, and tell how they differ."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speckflex.analysis.core_load import measure_load
from speckflex.analysis.ensemble import play_ensemble
from speckflex.boards import open_board
from speckflex.data.order import OrderWatch
from speckflex.deployment.players import Players, play_dataset
from speckflex.errors import BoardNotFoundError, EventsError
from speckflex.events.perturbation import Perturbation
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from speckflex.analysis.core_load import LayerLoad
    from speckflex.analysis.ensemble import Ensemble
    from speckflex.boards import Board
    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.deployment.players import Play, Played
    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording
    from speckflex.report.facts import RunFacts
    from speckflex.report.record import Report

__all__ = ["ChosenBoard", "DeploySettings", "Deployment", "choose_board", "deploy"]

CHIP_FAMILIES = ("speck2e", "speck2f")
# They play one sample after the other, each in about its own time, where other boards gain from
# batches; and twice, where the twin repeats itself by its making and a replay has each sample once.
DEVICES = ("chip", "virtual")


@dataclass(frozen=True)
class DeploySettings:
    """How a deployment plays its samples.

    Args:
        bins: time steps of the torch reference.
        events_of: how many samples keep their spikes; the rest keep counts.
        threads: of the twin; None for one a processor.
        batch: samples that are played on one board before the next one plays them, and told of
            as progress; a chip or virtual devkit plays and tells of them one by one.
        repeat: play every sample on a chip or virtual devkit twice: how far it is from itself
            is the floor below which no other difference means anything.
        ensemble: how often the first samples are played on the twin with changes; 0 for not.
        perturbation: how these plays differ.
        seed: of these plays.
        slow_clock: Hz of the twin's slow clock beside the chosen board; None for none.
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

    @property
    def of_twin(self) -> TwinSettings:
        """What the twin beside the chosen board is opened with."""
        return TwinSettings.ticking(self.slow_clock)


@dataclass(frozen=True, eq=False)
class ChosenBoard:
    """An opened board, and why it is not the one asked for, where it isn't."""

    board: Board
    asked: str
    note: str = ""


@dataclass(frozen=True, eq=False)
class Deployment:
    """What a deployment brought.

    Args:
        model: what ran.
        recordings: by "torch", "twin", "chip" and "repeat" (the chip once more), those that
            there are.
        report: what `report.json` holds.
    """

    model: ConvertedModel
    recordings: dict[str, Recording]
    report: Report

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped it before its end."""
        return self.report.run is not None and self.report.run.interrupted

    def save(self, folder: str | Path) -> list[Path]:
        """Write program, recordings and reports into `folder`; return the files."""
        from speckflex.report import write_report

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "program.speck"
        self.model.program.save(program)
        written = [program]
        for name, recording in self.recordings.items():
            path = folder / f"recording-{name}.h5"
            recording.save(path)
            written.append(path)
        return [*written, *write_report(self.report, folder)]


def choose_board(
    name: str,
    *,
    require_chip: bool = False,
    slow_clock: float | None = None,
    **settings: Any,
) -> ChosenBoard:
    """Open the board of that name; a chip that is not attached is replaced by its twin.

    Args:
        name: as for `open_board`, or "speck2e" / "speck2f" for whichever one is attached.
        require_chip: make a missing chip an error.
        slow_clock: Hz of the slow clock of a chip or a twin; None for none.
        settings: of the twin.

    Raises:
        BoardNotFoundError: no such board, or no chip where one is required.
    """
    if name not in CHIP_FAMILIES:
        if require_chip and name.partition(":")[0] not in CHIP_FAMILIES:
            raise BoardNotFoundError(
                f"board {name!r} is no chip, and a chip is required: name speck2e or speck2f"
            )
        return ChosenBoard(open_board(name, **_board_settings(name, slow_clock, settings)), name)
    try:
        return ChosenBoard(open_board(f"{name}:0", slow_clock=slow_clock), name)
    except BoardNotFoundError:
        if require_chip:
            raise
        note = f"no {name} is attached, its software twin runs instead (why: speckflex doctor)"
        twin = open_board("twin", **_board_settings("twin", slow_clock, settings))
        return ChosenBoard(twin, name, note)


def _board_settings(name: str, slow_clock: float | None, settings: dict[str, Any]) -> Any:
    """Return what a board of that name takes of a slow clock and of the twin's settings."""
    family = name.partition(":")[0]
    if family == "twin":
        return {**settings, "settings": TwinSettings.ticking(slow_clock)}
    return {} if family == "replay" else {"slow_clock": slow_clock}


def deploy(
    model: ConvertedModel,
    dataset: EventDataset,
    chosen: ChosenBoard,
    *,
    settings: DeploySettings | None = None,
    command: str = "",
    progress: Callable[[int], None] = lambda _samples: None,
) -> Deployment:
    """Play `dataset` on the chosen board, on the twin and in torch, and compare.

    A keyboard interrupt ends the playing, or the outlook behind it; what was played until then
    is reported.

    Args:
        model: the program, and the network where there is one.
        dataset: the recordings and their labels.
        chosen: the board; it stays open.
        settings: how samples are played.
        command: what the user typed, for the report.
        progress: called with the number of samples that were just played on the chosen board.

    Raises:
        EventsError: the data set is empty or does not have the program's input shape.
    """
    # only now, since the command has said by then which board it plays on
    from speckflex.report.build import report_of
    from speckflex.report.evidence import gather_evidence

    settings = settings or DeploySettings()
    _check_dataset(model, dataset)
    watch = OrderWatch()
    with _players(model, chosen.board, settings) as players:
        played = play_dataset(
            players,
            watch.over(dataset),
            batch=settings.batch,
            events_of=settings.events_of,
            progress=progress,
        )
    recordings = played.recordings(dataset.labels)
    outlook = _outlook(model.program, dataset, settings, played)
    evidence = gather_evidence(
        model.program,
        {name: recordings[name] for name in recordings if name != "trained"},
        input_events=played.first_events,
        checks=model.checks,
    )
    run = _run_facts(model, dataset, chosen, settings, recordings.get("trained"))
    data = replace(run.data, warnings=tuple(watch.warnings))
    evidence = replace(
        evidence,
        synthetic=dataset.synthetic,
        command=command,
        run=replace(run, data=data, interrupted=outlook.interrupted),
        loads=outlook.loads,
        ensemble=outlook.ensemble,
    )
    return Deployment(model, recordings, report_of(evidence))


def _run_facts(
    model: ConvertedModel,
    dataset: EventDataset,
    chosen: ChosenBoard,
    settings: DeploySettings,
    trained: Recording | None,
) -> RunFacts:
    """Return how a deployment ran, as far as it is known before its end."""
    from speckflex.report.facts import DataFacts, RunFacts

    return RunFacts(
        model=model.path.name,
        data=DataFacts(dataset.name, tuple(dataset.classes)),
        board_asked=chosen.asked,
        board_note=chosen.note,
        bins=settings.bins if model.network is not None else None,
        folding=model.folding,
        accuracy_before_folding=trained.accuracy() if trained else None,
    )


@contextmanager
def _players(model: ConvertedModel, board: Board, settings: DeploySettings) -> Iterator[Players]:
    """Give the networks in torch, the twin, and the chip if it is one, with the program loaded."""
    players = Players(_references(model, settings.bins))
    with ExitStack() as stack:
        if board.kind != "twin":
            twin = stack.enter_context(
                open_board("twin", threads=settings.threads, settings=settings.of_twin)
            )
            twin.load(model.program)
            players.in_batches["twin"] = twin.play
        board.load(model.program)
        if board.kind in DEVICES:
            players.one_by_one["chip"] = board.play
            if settings.repeat:
                players.one_by_one["repeat"] = board.play
        else:
            players.in_batches["twin" if board.kind == "twin" else "chip"] = board.play
        yield players


def _references(model: ConvertedModel, bins: int) -> dict[str, Play]:
    """Return what plays the networks that there are in torch, by name."""
    if model.network is None:
        return {}
    from speckflex.deployment.torch_reference import TorchReference

    networks = {"torch": model.network, "trained": model.trained}
    return {
        name: TorchReference(network, model.program, bins=bins).play
        for name, network in networks.items()
        if network is not None
    }


@dataclass
class _Outlook:
    """What else to expect of a chip, as far as no interrupt came before it.

    Args:
        loads: whether each core keeps up with the first samples.
        ensemble: plays of the first samples with changes, where they are wanted.
        interrupted: whether the user stopped the deployment.
    """

    loads: tuple[LayerLoad, ...] = ()
    ensemble: Ensemble | None = None
    interrupted: bool = False


def _outlook(
    program: Program, dataset: EventDataset, settings: DeploySettings, played: Played
) -> _Outlook:
    """Measure the load of the cores and play the ensemble, up to a keyboard interrupt."""
    outlook = _Outlook(interrupted=played.interrupted)
    if outlook.interrupted:
        return outlook
    events = played.first_events
    try:
        outlook.loads = measure_load(program, events, settings=settings.of_twin)
        if settings.ensemble:
            ensemble = play_ensemble(
                program,
                events,
                settings.ensemble,
                perturbation=settings.perturbation,
                seed=settings.seed,
                settings=settings.of_twin,
            )
            outlook.ensemble = ensemble.with_labels(dataset.labels[: len(events)])
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
            f" network takes {tuple(expected)}: choose other data or convert with its shape"
        )
