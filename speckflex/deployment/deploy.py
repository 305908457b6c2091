"""The main job: play recordings on a board, its twin and in torch, and report the differences."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from speckflex.analysis.core_load import measure_load
from speckflex.analysis.ensemble import play_ensemble
from speckflex.analysis.synops import add_synops
from speckflex.boards import open_board
from speckflex.boards.family import BoardName
from speckflex.boards.probe_file import ProbeFile
from speckflex.data.dataset import fitting_options
from speckflex.data.order import OrderWatch
from speckflex.deployment._players import Players, play_dataset
from speckflex.deployment._rate import twin_at_rate
from speckflex.deployment._run_facts import run_facts
from speckflex.deployment.explain import explain
from speckflex.errors import EventsError
from speckflex.events.perturbation import Perturbation
from speckflex.report.bars import Bars
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from speckflex.analysis.core_load import LayerLoad
    from speckflex.analysis.ensemble import Ensemble
    from speckflex.boards.choosing import ChosenBoard
    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.deployment._players import Play, Played
    from speckflex.recordings.recording import Recording
    from speckflex.report.facts import LayerEffect
    from speckflex.report.record import Report

AT_RATE = "at rate"  # the player of a twin whose cores take their time

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
    """

    model: ConvertedModel
    recordings: dict[str, Recording]
    report: Report

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the deployment before its end."""
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

    After the samples, the load of the cores is measured and the ensemble is played. A keyboard
    interrupt ends either; the report covers what was played before.

    Args:
        model: the program, and its network if there is one.
        dataset: the recordings and their labels.
        chosen: the board; it stays open.
        settings: how the samples are played.
        command: what the user typed, for the report.
        progress: called with the number of samples that the chosen board has just played.

    Raises:
        EventsError: the data set is empty or does not have the program's input shape.
    """
    # imported here, since the command prints the name of the board before it waits for imports
    from speckflex.report.build import report_of
    from speckflex.report.evidence import gather_evidence

    settings = settings or DeploySettings()
    settings = replace(settings, probe=settings.probe or BoardName.parse(chosen.asked).probe)
    _check_dataset(model, dataset)
    watch = OrderWatch()
    with _players(model, chosen, settings) as players:
        played = play_dataset(
            players,
            watch.over(dataset),
            model.program,
            batch=settings.batch,
            events_of=settings.events_of,
            progress=progress,
        )
    recordings = {
        name: _with_changes(recording, dataset)
        for name, recording in played.recordings(dataset.labels).items()
    }
    at_rate = recordings.pop(AT_RATE, None)
    outlook = _outlook(model, dataset, settings, played)
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
        command=command,
        warnings=tuple(watch.warnings),
    )
    evidence = replace(
        evidence,
        synthetic=dataset.synthetic,
        command=command,
        run=replace(run, interrupted=outlook.interrupted),
        loads=outlook.loads,
        at_rate=at_rate,
        rate=settings.rate,
        opened=played.opened,
        ensemble=outlook.ensemble,
        effects=outlook.effects,
        bars=settings.bars,
    )
    return Deployment(model, recordings, report_of(evidence))


def _with_changes(recording: Recording, dataset: EventDataset) -> Recording:
    """Return a recording whose provenance says what was done to its input."""
    if not dataset.changes:
        return recording
    provenance = recording.provenance
    settings = {**provenance.settings, "input": "; ".join(dataset.changes)}
    return replace(recording, provenance=replace(provenance, settings=settings))


@contextmanager
def _players(
    model: ConvertedModel, chosen: ChosenBoard, settings: DeploySettings
) -> Iterator[Players]:
    """Yield torch networks, twin and board, each with the program loaded."""
    board, family = chosen.board, chosen.family
    players = Players(_references(model, settings.bins))
    with ExitStack() as stack:
        if not family.is_twin:
            twin = stack.enter_context(
                open_board("twin", threads=settings.threads, settings=settings.of_twin)
            )
            twin.load(model.program)
            players.in_batches["twin"] = twin.play
        board.load(model.program)
        plays = players.one_by_one if family.one_by_one else players.in_batches
        plays["twin" if family.is_twin else "chip"] = board.play
        if settings.repeat and not family.repeats:
            plays["repeat"] = board.play
        if settings.rate is not None:
            rated = twin_at_rate(model.program, settings.rate, settings.of_twin, settings.threads)
            players.in_batches[AT_RATE] = stack.enter_context(rated).play
        yield players


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
    model: ConvertedModel, dataset: EventDataset, settings: DeploySettings, played: Played
) -> _Outlook:
    """Measure load and effects, and play the ensemble, up to a keyboard interrupt."""
    program = model.program
    outlook = _Outlook(interrupted=played.interrupted)
    if outlook.interrupted:
        return outlook
    events = played.events
    try:
        outlook.loads = measure_load(
            program, events, synops_per_second=settings.rate, settings=settings.of_twin
        )
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
        if settings.explain:
            outlook.effects = explain(
                program,
                dataset[: settings.explain],
                network=model.network,
                bins=settings.bins,
                rate=settings.rate,
                settings=settings.of_twin,
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
