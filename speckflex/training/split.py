"""Which recordings train and which choose: stratified, seeded, and hashed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from speckflex.errors import TrainingError

__all__ = ["Split", "split_by_class"]


@dataclass(frozen=True, eq=False)
class Split:
    """Positions of the recordings that train and of those that choose the best epoch.

    Args:
        training: (n,) int64, ascending.
        validation: (m,) int64, ascending; shares nothing with `training`.
    """

    training: np.ndarray
    validation: np.ndarray

    @property
    def sha256(self) -> str:
        """The hash of both parts, so that a resumed training can prove to have the same."""
        digest = hashlib.sha256()
        for part in (self.training, self.validation):
            digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
        return digest.hexdigest()


def split_by_class(labels: np.ndarray, share: float, *, seed: int) -> Split:
    """Return a split that takes `share` of each class, at least one, for validation.

    Args:
        labels: (n,) int64, the class of each recording.
        share: 0 < share < 1.
        seed: of the draw.

    Raises:
        TrainingError: there are no recordings, a single class, or a class with one recording.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    _check_classes(classes, sizes)
    generator = np.random.default_rng(seed)
    held_out = [
        generator.permutation(np.flatnonzero(labels == label))[: _held_out(size, share)]
        for label, size in zip(classes, sizes, strict=True)
    ]
    validation = np.sort(np.concatenate(held_out))
    training = np.setdiff1d(np.arange(len(labels)), validation)
    return Split(training, validation)


def _held_out(size: int, share: float) -> int:
    return min(max(round(float(size) * share), 1), int(size) - 1)


def _check_classes(classes: np.ndarray, sizes: np.ndarray) -> None:
    if not len(classes):
        raise TrainingError(
            "the data holds no recording: training needs recordings of at least two classes,"
            " check the folder"
        )
    if len(classes) == 1:
        raise TrainingError(
            f"all {sizes[0]} recordings are of class {classes[0]}: training needs at least two"
            " classes, check the folder"
        )
    if sizes.min() == 1:
        raise TrainingError(
            f"class {classes[sizes.argmin()]} has one recording: it can't both train and choose,"
            " add a second one"
        )
