"""A kernel over a batch, shared out among threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["run_by_sample"]

# Below this many values a second thread costs more than it saves (about 1 ms of work).
VALUES_PER_THREAD = 2**20


def run_by_sample(
    kernel: Callable[..., None], arrays: Sequence[np.ndarray], rest: Sequence[Any], n_threads: int
) -> None:
    """Call a kernel on arrays with the batch as first axis, in threads if they are large.

    The samples of a batch are independent, so the number of threads changes no result. Threads
    live for one call: a pool that stays would hang in a forked process.

    Args:
        kernel: releases Python's lock.
        arrays: of the same length; the first one's size tells how much there is to do.
        rest: what the kernel takes behind its arrays.
        n_threads: at most.
    """
    n_threads = min(n_threads, arrays[0].size // VALUES_PER_THREAD)
    if n_threads < 2:
        kernel(*arrays, *rest)
        return
    edges = np.linspace(0, len(arrays[0]), n_threads + 1).astype(int)
    with ThreadPoolExecutor(n_threads) as pool:
        parts = [
            pool.submit(kernel, *(array[first:last] for array in arrays), *rest)
            for first, last in pairwise(edges)
        ]
    for part in parts:
        part.result()
