"""What a deployment expects of a chip: load, plays with small changes, and effects of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.analysis.core_load import measure_load
from speckflex.analysis.ensemble import play_ensemble
from speckflex.deployment.explain import explain
from speckflex.deployment.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.analysis.core_load import LayerLoad
    from speckflex.analysis.ensemble import Ensemble
    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.deployment.deploy import DeploySettings
    from speckflex.deployment.progress import Watch
    from speckflex.report.facts import EnsembleFacts, LayerEffect

__all__ = ["Outlook", "look_out"]


@dataclass
class Outlook:
    """Expectations about a chip; an interrupt may leave them incomplete.

    Args:
        loads: whether each core keeps up with the first samples.
        ensemble: plays of the first samples with small changes; None if there are none.
        effects: what each layer costs alone; empty if it was not asked for.
        interrupted: whether the user stopped the deployment.
    """

    loads: tuple[LayerLoad, ...] = ()
    ensemble: Ensemble | EnsembleFacts | None = None
    effects: Sequence[LayerEffect] = ()
    interrupted: bool = False


def look_out(
    model: ConvertedModel,
    dataset: EventDataset,
    settings: DeploySettings,
    events: Sequence[np.ndarray],
    watch: Watch,
) -> Outlook:
    """Measure load and effects, and play the ensemble, up to a keyboard interrupt.

    Args:
        model: the program, and its network if there is one.
        dataset: all recordings.
        settings: of the deployment.
        events: the first recordings.
        watch: called with each step.
    """
    program, outlook = model.program, Outlook()
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
