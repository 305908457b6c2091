"""Count spikes by address."""

import numpy as np
from numba import njit

__all__ = ["count_into"]


# Python's lock is kept: a call takes less time than to get it back from another thread
@njit(cache=True)
def count_into(addresses: np.ndarray, counts: np.ndarray) -> None:
    """Add one to `counts` at each address.

    Args:
        addresses: `(n,) int32`, in range of `counts`.
        counts: `(m,) int64`, changed in place.
    """
    for index in range(addresses.size):
        counts[addresses[index]] += 1
