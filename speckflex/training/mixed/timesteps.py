"""Groups of frames between stages of different lengths (MTT, Eq. 13 and A.4)."""

from __future__ import annotations

from operator import index

import numpy as np

from speckflex.errors import TrainingError

__all__ = ["check_count", "group_boundaries"]


def group_boundaries(n_few: int, n_many: int) -> np.ndarray:
    """Return the first frame of each of `n_few` groups of `n_many` frames, and `n_many`.

    Group k holds the frames `b[k] .. b[k + 1] - 1` with `b[k] = ceil(k * n_many / n_few - 1/2)`:
    the ideal boundary moved to the nearest integer, and down where two are equally near (MTT,
    Eq. 13 and 17).
    No group is empty. The arithmetic is exact.

    Args:
        n_few: number of groups, at least 1.
        n_many: number of frames, at least `n_few`.

    Returns:
        `(n_few + 1,) int64`, ascending from 0 to `n_many`.

    Raises:
        TrainingError: a count is no integer, `n_few` is below 1 or `n_many` below `n_few`.
    """
    few, many = check_count(n_few, "the number of groups"), check_count(n_many, "frames")
    if many < few:
        raise TrainingError(
            f"{many} frames can't fill {few} groups, which need at least one frame each: give the"
            " smaller count first"
        )
    return np.array([-((few - 2 * k * many) // (2 * few)) for k in range(few + 1)], dtype=np.int64)


def check_count(value: int, meaning: str) -> int:
    """Return `value` as an int of at least 1.

    Args:
        value: a count, of time steps for instance.
        meaning: its name in the error message.

    Raises:
        TrainingError: it is no integer or below 1.
    """
    try:
        count = index(value)
    except TypeError as error:
        raise TrainingError(
            f"{meaning}: {value!r} is no integer: give a whole number of at least 1"
        ) from error
    if count < 1:
        raise TrainingError(f"{meaning}: {count} is below 1: give a whole number of at least 1")
    return count
