"""What a network withstands: noise on the twin, and how flat its minimum is in time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis.robustness import NoiseSettings, measure_noise
from speckflex.analysis.tuning import Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.analysis.robustness import NoiseCurve
    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.training.sharpness import GradientLengths

__all__ = ["AnalyseSettings", "Analysis", "Flatness", "analyse"]

POSITIONS = tuple(np.round(np.linspace(-1, 1, 41), 3).tolist())
SIGMAS = (0.0, 0.02, 0.05, 0.1, 0.2)
INPUT_SIGMAS = (0.0, 0.1, 0.2, 0.5, 1.0)  # of the counts of a frame


@dataclass(frozen=True)
class AnalyseSettings:
    """How a network is analysed.

    Args:
        runs: number of runs at each level of a noise.
        seed: of all draws; the same for each network, so that they can be compared.
        bins: number of time steps in torch.
        threads: threads of the twin; None for one per processor.
    """

    runs: int = 5
    seed: int = 0
    bins: int = 10
    threads: int | None = None


@dataclass(frozen=True)
class Flatness:
    """How flat the minimum of a network is in time steps; nothing that a chip has.

    Args:
        positions: a, where the landscape `L(w + a d)` is measured.
        losses: the mean cross entropy there.
        sigmas: standard deviations of noise on the weights, in their own unit.
        accuracies: mean, lowest and highest accuracy with it.
        input_sigmas: standard deviations of noise on the counts of each frame.
        input_accuracies: mean, lowest and highest accuracy with it.
        gradients: lengths of the loss's gradients.
    """

    positions: tuple[float, ...]
    losses: tuple[float, ...]
    sigmas: tuple[float, ...]
    accuracies: tuple[tuple[float, float, float], ...]
    input_sigmas: tuple[float, ...]
    input_accuracies: tuple[tuple[float, float, float], ...]
    gradients: GradientLengths


@dataclass(frozen=True)
class Analysis:
    """One network.

    Args:
        model: name of its file.
        program_sha256: hash of the program that the twin ran.
        samples: number of samples.
        curves: one for each kind of noise on the twin.
        flatness: in time steps; null for a program, which has none.
    """

    model: str
    program_sha256: str
    samples: int
    curves: tuple[NoiseCurve, ...]
    flatness: Flatness | None


def analyse(
    model: ConvertedModel,
    dataset: EventDataset,
    settings: AnalyseSettings | None = None,
    *,
    watch: Callable[[str], None] | None = None,
) -> Analysis:
    """Return what a network withstands on recordings with labels.

    Args:
        model: a program with or without the network that it was made from.
        dataset: recordings on its input; those without a label are left out.
        settings: how it is analysed.
        watch: called with the name of each part before it is measured; None for nothing.

    Raises:
        ComparisonError: no recording has a label.
        SpeckflexError: the network does not run in time steps.
    """
    settings, tell = settings or AnalyseSettings(), watch or (lambda _: None)
    dataset = dataset.subset(np.flatnonzero(dataset.labels >= 0))
    samples = Samples([events for events, _ in dataset], dataset.labels)
    noise = NoiseSettings(runs=settings.runs, seed=settings.seed, threads=settings.threads)
    curves = []
    for kind in ("weights", "noise events", "lost events"):
        tell(f"{kind} on the twin")
        curves.append(measure_noise(model.program, samples, kind, noise))
    flatness = None
    if model.network is not None:
        tell("landscape and gradients in torch")
        flatness = _flatness(model, dataset, settings)
    return Analysis(model.path.name, model.program.sha256, len(dataset), tuple(curves), flatness)


def _flatness(model: ConvertedModel, dataset: EventDataset, settings: AnalyseSettings) -> Flatness:
    from speckflex.training.data import cache_frames
    from speckflex.training.sharpness import (
        gradient_lengths,
        input_noise,
        loss_landscape,
        weight_noise,
    )

    network = model.network
    assert network is not None  # noqa: S101 - the caller asks only where there is one
    frames = cache_frames(dataset, settings.bins)

    def measured(
        noise: Callable[..., list[float]], sigmas: Sequence[float]
    ) -> tuple[tuple[float, float, float], ...]:
        runs = (settings.runs if sigma else 1 for sigma in sigmas)
        found = [
            noise(network, frames, sigma, runs=n, seed=settings.seed)
            for sigma, n in zip(sigmas, runs, strict=True)
        ]
        return tuple((float(np.mean(one)), min(one), max(one)) for one in found)

    return Flatness(
        POSITIONS,
        tuple(loss_landscape(network, frames, POSITIONS, seed=settings.seed)),
        SIGMAS,
        measured(weight_noise, SIGMAS),
        INPUT_SIGMAS,
        measured(input_noise, INPUT_SIGMAS),
        gradient_lengths(network, frames),
    )
