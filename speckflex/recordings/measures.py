"""How alike two sets of spike counts are, and how sure a share of right answers is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import comb, inf, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Gain",
    "PairSums",
    "alternate",
    "confusion_matrix",
    "cosine_similarity",
    "paired_gain",
    "relative_difference",
    "sign_test",
    "sums_of_pair",
    "wilson_interval",
]

BLOCK = 2**20  # values
MOST_EXACT = 2**53  # float64 holds every integer up to here
Z = NormalDist().inv_cdf(0.975)  # of a 95 % interval


@dataclass(frozen=True)
class Gain:
    """Two ways to classify the same recordings, such as two networks.

    Args:
        recordings: how many there are.
        before: share that the first one classifies right.
        after: share that the second one does.
        interval: lower and upper end of the 95 % interval of `after - before`, for pairs (Agresti
            and Min 2005: half a recording is added to each of the four outcomes).
        p_value: of McNemar's exact test that both are equally often right alone.
    """

    recordings: int
    before: float
    after: float
    interval: tuple[float, float]
    p_value: float


def relative_difference(reference: np.ndarray, other: np.ndarray) -> float | None:
    """Return `sum |S - S'| / sum |S|`, the spike difference of the MTT paper (Eq. 16).

    None where both are all zero, since 0 / 0 has no value; infinite where only the reference is.

    Args:
        reference: `S`, any shape, integers.
        other: `S'`, the same shape.
    """
    difference = scale = 0
    for one, two in _blocks(reference, other):
        difference += int(np.abs(np.asarray(one, np.int64) - np.asarray(two, np.int64)).sum())
        scale += int(np.abs(np.asarray(one, np.int64)).sum())
    if scale == 0:
        return None if difference == 0 else inf
    return difference / scale


def cosine_similarity(reference: np.ndarray, other: np.ndarray) -> float | None:
    """Return the cosine of the angle between two arrays of integers seen as vectors.

    None where one of them is all zero: such a vector has no direction.
    """
    return sums_of_pair(reference, other).cosine


@dataclass(frozen=True)
class PairSums:
    """Exact sums over two arrays of integers; those of parts add up to those of the whole.

    Args:
        distance: `sum |S - S'|`.
        scale: `sum |S|`.
        squares_a: `sum S^2`.
        squares_b: `sum S'^2`.
        product: `sum S S'`.
    """

    distance: int = 0
    scale: int = 0
    squares_a: int = 0
    squares_b: int = 0
    product: int = 0

    def __add__(self, other: PairSums) -> PairSums:
        return PairSums(
            self.distance + other.distance,
            self.scale + other.scale,
            self.squares_a + other.squares_a,
            self.squares_b + other.squares_b,
            self.product + other.product,
        )

    @property
    def relative_difference(self) -> float | None:
        """As the function of that name says."""
        if self.scale == 0:
            return None if self.distance == 0 else inf
        return self.distance / self.scale

    @property
    def cosine(self) -> float | None:
        """As `cosine_similarity` says."""
        if not self.squares_a or not self.squares_b:
            return None
        return min(1.0, self.product / sqrt(float(self.squares_a) * float(self.squares_b)))

    @property
    def squared_distance(self) -> int:
        """`sum (S - S')^2`."""
        return self.squares_a + self.squares_b - 2 * self.product


def sums_of_pair(reference: np.ndarray, other: np.ndarray) -> PairSums:
    """Return the sums over two arrays of integers of the same shape."""
    sums = PairSums()
    for one, two in _blocks(reference, other):
        a, b = (np.asarray(values, np.int64).ravel() for values in (one, two))
        largest = max((int(np.abs(values).max(initial=0)) for values in (a, b)), default=0)
        exact = largest**2 * max(1, a.size) <= MOST_EXACT
        # einsum, since the threads of a matrix product cost more than they win here; float64 holds
        # the sums of spike counts exactly, and Python's integers those of anything larger
        x, y = (values.astype(np.float64 if exact else object) for values in (a, b))
        dot = partial(np.einsum, "i,i") if exact else np.dot
        sums += PairSums(
            int(np.abs(a - b).sum()),
            int(np.abs(a).sum()),
            *(int(dot(*pair)) for pair in ((x, x), (y, y), (x, y))),
        )
    return sums


def _blocks(reference: np.ndarray, other: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield parts of two arrays along the first axis, so that no copy of a whole one is made."""
    reference, other = np.asarray(reference), np.asarray(other)
    if reference.shape != other.shape or not reference.ndim:
        yield reference, other
        return
    rows = max(1, BLOCK // max(1, reference[:1].size))
    for start in range(0, len(reference), rows):
        yield reference[start : start + rows], other[start : start + rows]


def wilson_interval(n_right: int, n_samples: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share (Wilson 1927).

    Args:
        n_right: 0 to `n_samples`.
        n_samples: at least 1.
    """
    share, weight = n_right / n_samples, Z**2 / n_samples
    middle = share + weight / 2
    reach = sqrt(weight * (share * (1 - share) + weight / 4))
    low, high = ((middle + sign * reach) / (1 + weight) for sign in (-1, 1))
    # at the ends exactly, where rounding leaves a little
    return low if n_right else 0.0, high if n_right < n_samples else 1.0


def sign_test(n_worse: int, n_better: int) -> float:
    """Return the two-sided p-value that as many are as far from half and half by chance.

    The exact sign test; for right and wrong answers to the same samples it is McNemar's test
    (1947) in its exact form.

    Args:
        n_worse: number of pairs that changed for the worse.
        n_better: number of pairs that changed for the better.
    """
    n, most = n_worse + n_better, max(n_worse, n_better)
    beyond, ways = 0, comb(n, most)
    for k in range(most, n + 1):
        beyond += ways
        ways = ways * (n - k) // (k + 1)  # comb(n, k + 1)
    return min(1.0, 2 * beyond / 2**n)


def paired_gain(before: np.ndarray, after: np.ndarray) -> Gain:
    """Return the gain from what is right before and after, (recording,) bool."""
    n = len(before)
    won, lost = int((after & ~before).sum()), int((before & ~after).sum())
    middle = (won - lost) / (n + 2)
    reach = Z * sqrt(won + lost + 1 - (won - lost) ** 2 / (n + 2)) / (n + 2)
    shares = float(before.mean()), float(after.mean())
    return Gain(
        n, *shares, (max(middle - reach, -1.0), min(middle + reach, 1.0)), sign_test(lost, won)
    )


def alternate(labels: np.ndarray) -> np.ndarray:
    """Return (n,) bool: the first, third, ... of each class, to choose on, where others judge.

    Args:
        labels: `(n,)` integers, the class of each sample.
    """
    first = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        first[np.flatnonzero(labels == label)[::2]] = True
    return first


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (class, predicted class) int64 counts of the samples that have a prediction.

    Args:
        labels: `(n,)` integers, 0 to `n_classes - 1`.
        predictions: `(n,)` integers, 0 to `n_classes - 1`, or negative for no answer.
        n_classes: how many classes there are.
    """
    matrix = np.zeros((n_classes, n_classes), np.int64)
    answered = predictions >= 0
    np.add.at(matrix, (labels[answered], predictions[answered]), 1)
    return matrix
