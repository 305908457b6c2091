"""Events counted into frames of equal time."""

import numpy as np
from numba import njit

__all__ = ["bin_events"]


@njit(cache=True, nogil=True)
def bin_events(events: np.ndarray, first: int, width: int, frames: np.ndarray) -> None:
    """Add each event to its frame.

    Args:
        events: `(n,)` event array; addresses inside the frames, times in any order.
        first: µs at which the first frame begins; earlier events count in it.
        width: µs of one frame, at least 1; events after the last frame count in the last.
        frames: `(time, channel, y, x)` numbers, added to.
    """
    last = frames.shape[0] - 1
    one = frames.dtype.type(1)
    for i in range(events.size):
        event = events[i]
        elapsed = max(event["t"] - first, 0)
        time = min(elapsed // width, last)
        frames[time, event["p"], event["y"], event["x"]] += one
