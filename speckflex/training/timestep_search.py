"""Which time steps: the accuracy model of the MTT paper, measured, and its search (A.8, A.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from sinabs.layers import StatefulLayer

from speckflex.analysis.accuracy_model import AccuracyModel, fit_accuracy, search_settings
from speckflex.errors import ComparisonError, TrainingError
from speckflex.networks.copying import copy_network
from speckflex.networks.paper import own_granularity
from speckflex.recordings.measures import Gain, paired_gain
from speckflex.training._calibration import batch_norms, recalibrate_batch_norm
from speckflex.training._evaluation import evaluate
from speckflex.training.mixed.samplers import UniformSampler
from speckflex.training.mixed.stages import MixedTimestepNetwork, split_stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from speckflex.training.data import FrameSet

__all__ = ["FitCheck", "Measurement", "SearchSettings", "TimestepSearch", "search_timesteps"]

CALIBRATIONS = 3  # of batch norm, for each configuration (A.8)
CALIBRATION_BATCHES, CALIBRATION_BATCH = 10, 32
RESAMPLES = 1000  # of the bootstrap


@dataclass(frozen=True)
class SearchSettings:
    """How time steps are searched.

    Args:
        t_max: the largest number of time steps of a stage, and the frames of a recording.
        budget: energy that is allowed, as a share of that with `t_max` in all stages.
        configurations: number of drawn configurations that the model is fitted to.
        fresh: number of others that check the fit.
        granularity: blocks in a stage; None for the network's own.
        seed: of the draws.
    """

    t_max: int = 6
    budget: float = 0.5
    configurations: int = 18
    fresh: int = 18
    granularity: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Measurement:
    """One configuration.

    Args:
        timesteps: of each stage.
        measured: accuracy on the recordings that choose, the mean over calibrations.
        predicted: accuracy by the model.
        fitted: whether the model was fitted to it.
    """

    timesteps: tuple[int, ...]
    measured: float
    predicted: float
    fitted: bool


@dataclass(frozen=True)
class FitCheck:
    """How well the model predicts configurations that it was not fitted to.

    Args:
        error: root mean square of measured minus predicted accuracy.
        chance: the same that the number of recordings alone causes (binomial).
        rank_correlation: Spearman's.
        interval: its 95 % bootstrap interval.
        configurations: how many.
    """

    error: float
    chance: float
    rank_correlation: float
    interval: tuple[float, float]
    configurations: int


@dataclass(frozen=True, eq=False)
class TimestepSearch:
    """What the model says, how true it is, and what its choice is worth.

    Args:
        stages: names of the layers of each stage.
        weights: w of each stage; none where there is no model.
        errors: standard error of each.
        constant: c.
        rates: spikes per neuron and step of each stage with `t_max` everywhere.
        measurements: configurations that were measured.
        check: of the fit; None where there is no model.
        problem: why there is no model; "" where there is one.
        chosen: time steps of each stage.
        uniform: the largest T of all stages inside the budget.
        energy: of the choice, and of the uniform T, as shares of that with `t_max` everywhere.
        gain: accuracy of the uniform T (before) and of the choice (after) on recordings that chose
            nothing, in pairs.
        chosen_on: number of recordings that chose.
    """

    stages: tuple[tuple[str, ...], ...]
    weights: tuple[float, ...]
    errors: tuple[float, ...]
    constant: float
    rates: tuple[float, ...]
    measurements: tuple[Measurement, ...]
    check: FitCheck | None
    problem: str
    chosen: tuple[int, ...]
    uniform: int
    energy: tuple[float, float]
    gain: Gain
    chosen_on: int


def search_timesteps(
    network: nn.Module,
    choosing: FrameSet,
    judging: FrameSet,
    settings: SearchSettings | None = None,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> TimestepSearch:
    """Return the time steps of each stage that the model holds for best inside an energy budget.

    `accuracy = c + sum_i w_i sqrt(t_i)` is fitted to drawn configurations, each measured in torch.
    The energy is `sum_i r_i t_i`, r_i the spikes per neuron and step of stage i. Batch norms are
    calibrated three times for each configuration, on frames of the recordings that choose. Time
    steps are a matter of torch alone: a chip has none.

    Args:
        network: a chain of layers with neurons; stays as it is.
        choosing: frames of recordings that choose, `t_max` of each (or one, of an image).
        judging: frames of others, which judge once.
        settings: how it is searched.
        advance: called with 1 after each measured configuration.

    Raises:
        TrainingError: a number is out of range, or a part has no recording.
        NetworkError: the network is no chain of layers, or has no neuron.
    """
    settings = settings or SearchSettings()
    bench = _Bench(copy_network(network).eval(), choosing, settings)
    _check(settings, bench.mixed.n_stages, len(choosing), len(judging))
    drawn = bench.draw(settings.configurations + settings.fresh)
    accuracies = []
    for timesteps in drawn:
        accuracies.append(bench.accuracy(timesteps))
        advance(1)
    amounts, measured = np.array(drawn), np.array(accuracies)
    n, rates = settings.configurations, bench.rates()
    uniform = int(settings.budget * settings.t_max + 1e-9)
    model, problem, chosen = None, "", (uniform,) * bench.mixed.n_stages
    try:
        model = fit_accuracy(amounts[:n], measured[:n], samples=len(choosing))
        chosen = _best(model, rates, settings)
    except ComparisonError as error:
        problem = str(error)
    predicted = measured if model is None else model.predict(amounts)
    energies = [float(rates @ np.array(t)) for t in (chosen, (uniform,) * len(chosen))]
    whole = float(rates.sum() * settings.t_max) or 1.0
    return TimestepSearch(
        stages=bench.names,
        weights=() if model is None else tuple(model.weights.tolist()),
        errors=() if model is None else tuple(model.errors.tolist()),
        constant=0.0 if model is None else model.constant,
        rates=tuple(rates.tolist()),
        measurements=tuple(
            Measurement(t, float(a), float(p), index < n)
            for index, (t, a, p) in enumerate(zip(drawn, measured, predicted, strict=True))
        ),
        check=None
        if model is None
        else _fit_check(measured[n:], predicted[n:], choosing, settings),
        problem=problem,
        chosen=chosen,
        uniform=uniform,
        energy=(energies[0] / whole, energies[1] / whole),
        gain=bench.gain(judging, (uniform,) * len(chosen), chosen),
        chosen_on=len(choosing),
    )


def _check(settings: SearchSettings, n_stages: int, n_choosing: int, n_judging: int) -> None:
    if not (0 < settings.budget < 1 and settings.budget * settings.t_max + 1e-9 >= 1):
        raise TrainingError(
            f"budget {settings.budget:g} with at most {settings.t_max} time steps: must be below 1"
            " and allow one time step in each stage: give such as 0.5, or a larger t_max"
        )
    possible = settings.t_max**n_stages
    wanted = settings.configurations + settings.fresh
    if settings.configurations < n_stages + 2 or settings.fresh < 2 or wanted > possible:
        raise TrainingError(
            f"{settings.configurations} configurations and {settings.fresh} fresh ones of"
            f" {n_stages} stages with at most {settings.t_max} time steps: measure at least"
            f" {n_stages + 2} and 2, and no more than the {possible} that there are"
        )
    if not (n_choosing and n_judging):
        raise TrainingError(
            f"{n_choosing} recordings with a class choose and {n_judging} judge: give at least two"
            " of each class"
        )


class _Bench:
    """A network that is measured at one configuration after the other."""

    def __init__(self, network: nn.Module, choosing: FrameSet, settings: SearchSettings) -> None:
        granularity = settings.granularity or own_granularity(network)
        stages = split_stages(network, granularity=granularity)
        names = {module: name for name, module in network.named_modules()}
        self.names = tuple(tuple(names[layer] for layer in stage) for stage in stages)
        self.mixed = MixedTimestepNetwork(network, stages)
        self.choosing, self.settings = choosing, settings
        self._norms = batch_norms(network)
        self._rng = np.random.default_rng(settings.seed)

    def draw(self, n: int) -> list[tuple[int, ...]]:
        """Return n configurations by chance, each once."""
        sampler = UniformSampler(self.mixed.n_stages, self.settings.t_max)
        generator = torch.Generator().manual_seed(self.settings.seed)
        found: dict[tuple[int, ...], None] = {}
        while len(found) < n:
            found[sampler(generator)] = None
        return list(found)

    def accuracy(self, timesteps: tuple[int, ...]) -> float:
        """Return the accuracy on the recordings that choose, the mean over calibrations."""
        found = []
        for _ in range(CALIBRATIONS if self._norms else 1):
            self._calibrate(timesteps)
            found.append(evaluate(self.mixed, self.choosing, timesteps).accuracy)
        return float(np.mean(found))

    def gain(self, judging: FrameSet, before: tuple[int, ...], after: tuple[int, ...]) -> Gain:
        """Return the accuracy of two configurations on other recordings, in pairs."""
        labels, right = judging.labels.numpy(), []
        for timesteps in (before, after):
            self._calibrate(timesteps)
            right.append(evaluate(self.mixed, judging, timesteps).answers == labels)
        return paired_gain(right[0], right[1])

    def rates(self) -> np.ndarray:
        """Return (stage,) float64 spikes per neuron and step with `t_max` in each stage."""
        spikes = np.zeros(self.mixed.n_stages)
        places = np.zeros(self.mixed.n_stages)
        hooks = []
        for index, stage in enumerate(self.mixed.stages):
            for layer in stage.modules():
                if isinstance(layer, StatefulLayer):

                    def count(_: nn.Module, __: object, out: torch.Tensor, at: int = index) -> None:
                        spikes[at] += float(out.detach().sum())
                        places[at] += out.numel()

                    hooks.append(layer.register_forward_hook(count))
        try:
            everywhere = (self.settings.t_max,) * self.mixed.n_stages
            self._calibrate(everywhere)
            evaluate(self.mixed, self.choosing, everywhere)
        finally:
            for hook in hooks:
                hook.remove()
        return spikes / np.maximum(places, 1)

    def _calibrate(self, timesteps: tuple[int, ...]) -> None:
        if not self._norms:
            return
        order = torch.from_numpy(self._rng.permutation(len(self.choosing)))
        parts = order.split(CALIBRATION_BATCH)[:CALIBRATION_BATCHES]
        batches = (self.choosing.frames[part] for part in parts)
        recalibrate_batch_norm(self.mixed, batches, lambda frames: self.mixed(frames, timesteps))


def _best(model: AccuracyModel, rates: np.ndarray, settings: SearchSettings) -> tuple[int, ...]:
    steps = np.arange(1, settings.t_max + 1)
    budget = np.array([settings.budget * settings.t_max * rates.sum()])
    values, costs = model.weights[:, None] * np.sqrt(steps), (rates[:, None] * steps)[..., None]
    return tuple(int(steps[choice]) for choice in search_settings(values, costs, budget)[0])


def _fit_check(
    measured: np.ndarray, predicted: np.ndarray, choosing: FrameSet, settings: SearchSettings
) -> FitCheck:
    from scipy.stats import spearmanr  # takes half a second to load

    def correlation(places: np.ndarray) -> float:
        chosen = measured[places], predicted[places]
        if any(not np.ptp(values) for values in chosen):
            return 0.0
        return float(spearmanr(*chosen)[0])  # pyright: ignore[reportArgumentType]

    rng = np.random.default_rng(settings.seed)
    draws = rng.integers(0, len(measured), (RESAMPLES, len(measured)))
    low, high = np.quantile([correlation(places) for places in draws], (0.025, 0.975))
    return FitCheck(
        error=float(np.sqrt(np.mean((measured - predicted) ** 2))),
        chance=float(np.sqrt(np.mean(measured * (1 - measured)) / len(choosing))),
        rank_correlation=correlation(np.arange(len(measured))),
        interval=(float(low), float(high)),
        configurations=len(measured),
    )
