"""When to stop reading: rules on the running output spikes of a board, and on time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from speckflex.errors import ComparisonError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Exit", "ExitRule", "Margin", "Posterior", "early_exit", "exit_in_steps"]


@dataclass(frozen=True)
class Margin:
    """Stop when the first class is ahead of the second by a number of spikes.

    This is a sequential test on the difference of two counts (in the manner of Wald 1945); it
    needs no calibration.

    Args:
        spikes: the difference, at least 1.
    """

    spikes: int

    def __post_init__(self) -> None:
        if self.spikes < 1:
            raise ComparisonError(
                f"a margin of {self.spikes} spikes stops before the first spike: give 1 or more"
            )

    @property
    def threshold(self) -> float:
        """What `evidence` has to reach."""
        return self.spikes

    def evidence(self, counts: np.ndarray) -> np.ndarray:
        """Return (...) the difference of the two highest counts.

        Args:
            counts: (..., class) spikes so far.
        """
        if counts.shape[-1] == 1:
            return counts[..., 0]
        highest = np.partition(counts, -2, axis=-1)
        return highest[..., -1] - highest[..., -2]


@dataclass(frozen=True)
class Posterior:
    """Stop when the softmax of the counts gives a class enough probability.

    The probability of class k is `exp(n_k / scale) / sum_j exp(n_j / scale)`. This carries SEENN-I
    (Li et al. 2023, arXiv 2304.01230) from time steps to single spikes; the counts in place of
    their mean over time are a choice of this project.

    Args:
        confidence: the probability, above 0 and below 1.
        scale: number of spikes, positive; see `analysis.exit_curves.calibrated_scale`.
    """

    confidence: float
    scale: float

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ComparisonError(
                f"confidence {self.confidence} is no probability above 0 and below 1: give such as"
                " 0.9"
            )
        if not 0 < self.scale < float("inf"):
            raise ComparisonError(f"scale {self.scale} is no positive number of spikes")

    @property
    def threshold(self) -> float:
        """What `evidence` has to reach."""
        return self.confidence

    def evidence(self, counts: np.ndarray) -> np.ndarray:
        """Return (...) the probability of the class with the most spikes.

        Args:
            counts: (..., class) spikes so far.
        """
        return _confidence(counts / self.scale)


ExitRule: TypeAlias = Margin | Posterior


@dataclass(frozen=True)
class Exit:
    """Where reading stopped.

    Args:
        answer: the class with the most spikes by then, the lowest of several; -1 without a spike.
        time: `t` of the spike with which the rule was met, or of the last one if it never was, µs;
            None without a spike.
        spikes: number of spikes that were read.
        decided: whether the rule was met.
    """

    answer: int
    time: int | None
    spikes: int
    decided: bool


def early_exit(
    spikes: np.ndarray | Iterable[np.ndarray], rule: ExitRule, *, n_classes: int
) -> Exit:
    """Read output spikes until a rule is met, and return the answer: `speckflex.early_exit`.

    No block is taken after the one with which the rule is met, so a live stream may follow. A
    stream that ends first is answered by all of its spikes.

    Args:
        spikes: event array of the last layer in one sample (`t` in µs, `p` the class), in the order
            in which the spikes came; or such arrays one after the other.
        rule: `Margin` or `Posterior`.
        n_classes: number of classes, the channels of the last layer.

    Raises:
        ComparisonError: a spike is of no such class.
    """
    blocks = [spikes] if isinstance(spikes, np.ndarray) else spikes
    so_far = np.zeros(n_classes, np.int64)
    time, n_read = None, 0
    for block in blocks:
        if not len(block):
            continue
        counts = so_far + running_counts(block["p"], n_classes)
        met = np.flatnonzero(rule.evidence(counts) >= rule.threshold)
        last = int(met[0]) if len(met) else len(block) - 1
        so_far, time, n_read = counts[last], int(block["t"][last]), n_read + last + 1
        if len(met):
            return Exit(int(so_far.argmax()), time, n_read, decided=True)
    answer = int(so_far.argmax()) if n_read else -1
    return Exit(answer, time, n_read, decided=False)


def running_counts(classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (spike, class) int64, the spikes of each class up to and with each spike.

    Args:
        classes: (spike,) the class of each spike.
        n_classes: number of classes.

    Raises:
        ComparisonError: a spike is of no such class.
    """
    classes = np.asarray(classes, np.int64)
    if len(classes) and not 0 <= classes.min() <= classes.max() < n_classes:
        raise ComparisonError(
            f"a spike is of class {int(classes.max())}, there are {n_classes} classes: give as many"
            " as the last layer has channels"
        )
    return np.cumsum(classes[:, None] == np.arange(n_classes), axis=0)


def exit_in_steps(
    outputs: np.ndarray, *, confidence: float, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return when a network in time steps is sure enough, and what it answers then: SEENN-I.

    It stops at the first t with `max_k softmax(mean_{s<=t} o_s / scale)_k >= confidence`, else at
    the last step (Li et al. 2023, arXiv 2304.01230). A chip has no time steps.

    Args:
        outputs: (sample, time, class) output of each step, such as spikes.
        confidence: probability, above 0 and below 1.
        scale: temperature, positive.

    Returns:
        (sample,) int64 number of steps, from 1 on, and (sample,) int64 classes.
    """
    n_steps = outputs.shape[1]
    means = np.cumsum(outputs, axis=1) / np.arange(1, n_steps + 1)[:, None]
    sure = _confidence(means / scale) >= confidence
    sure[:, -1] = True
    last = sure.argmax(axis=1)
    return last + 1, means[np.arange(len(means)), last].argmax(axis=1)


def _confidence(logits: np.ndarray) -> np.ndarray:
    """Return (...) the largest probability of the softmax over the last axis."""
    highest = logits.max(axis=-1, keepdims=True)
    return 1 / np.exp(logits - highest).sum(axis=-1)
