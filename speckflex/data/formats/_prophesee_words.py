"""Prophesee's encodings of events: EVT2, EVT2.1, EVT3 and DAT, decoded from their words.

Sources: the pages "EVT 2.0 Format", "EVT 2.1 Format", "EVT 3.0 Format" and "DAT File Format" of
Prophesee's Metavision documentation. The times are those of the words: they are not made to ascend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.events.streams import EVENT_DTYPE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DECODERS", "decode_dat", "decode_evt2", "decode_evt3", "decode_evt21"]

# Words decoded at a time: the tables below take some hundred bytes a word.
CHUNK = 2**20

# EVT3: the type of a word, in its upper 4 bits.
ADDRESS_Y, ADDRESS_X, VECTOR_BASE, VECTOR_12, VECTOR_8, TIME_LOW, TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
# The 24 bits of time wrap every 16.8 s; a smaller step back is disorder, not a wrap.
HALF_OF_TIME_HIGH = 2**11


def decode_dat(words: np.ndarray) -> np.ndarray:
    """Return the events of DAT words: a time, then 14 bits of x, 14 of y and 4 of polarity.

    Args:
        words: `(2 n,) uint32`.
    """
    pairs = words.reshape(-1, 2).astype(np.int64)
    times, places = pairs[:, 0], pairs[:, 1]
    polarity = (places >> 28 > 0).astype(np.int64)
    return _events(times, places & 0x3FFF, places >> 14 & 0x3FFF, polarity)


def decode_evt2(words: np.ndarray) -> np.ndarray:
    """Return the events of EVT2 words: 4 bits of type, 6 of time, 11 of x, 11 of y.

    A word of type 8 holds the 28 upper bits of the time of all that follow; types 0 and 1 are
    events. Events before the first such word have no time and are left out.

    Args:
        words: `(n,) uint32`.
    """
    kinds = words >> 28
    upper = np.maximum.accumulate(np.where(kinds == 8, np.arange(len(words)), -1))
    chosen = np.flatnonzero((kinds <= 1) & (upper >= 0))
    found = words[chosen].astype(np.int64)
    high = words[upper[chosen]].astype(np.int64) & 0xFFF_FFFF
    times = high << 6 | found >> 22 & 0x3F
    return _events(times, found >> 11 & 0x7FF, found & 0x7FF, found >> 28)


def decode_evt21(words: np.ndarray) -> np.ndarray:
    """Return the events of EVT2.1 words: 4 bits of type, 6 of time, 11 of x, 11 of y, 32 pixels.

    A word of type 8 holds the 28 upper bits of the time of all that follow. Types 0 and 1 are
    events of pixels from x on, the lowest bit first. Events before the first time are left out.

    Args:
        words: `(n,) uint64`.
    """
    kinds = words >> np.uint64(60)
    upper = np.maximum.accumulate(np.where(kinds == 8, np.arange(len(words)), -1))
    chosen = np.flatnonzero((kinds <= 1) & (upper >= 0))
    parts = [_evt21_events(words[some], words[upper[some]]) for some in _chunks(chosen)]
    return np.concatenate([np.empty(0, EVENT_DTYPE), *parts])


def _chunks(indices: np.ndarray) -> list[np.ndarray]:
    return [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)]


def _evt21_events(words: np.ndarray, highs: np.ndarray) -> np.ndarray:
    found = (words >> np.uint64(32)).astype(np.int64)
    high = (highs >> np.uint64(32)).astype(np.int64) & 0xFFF_FFFF
    masks = (words & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    rows, offsets = np.nonzero(masks[:, None] >> np.arange(32) & 1)
    times = high << 6 | found >> 22 & 0x3F
    x = (found >> 11 & 0x7FF)[rows] + offsets
    return _events(times[rows], x, (found & 0x7FF)[rows], (found >> 28)[rows])


@dataclass(frozen=True)
class _State:
    """What the words so far have set, for the words that follow."""

    y: int = 0
    base: int = 0
    polarity: int = 0
    low: int = 0
    high: int = 0
    wraps: int = 0


def decode_evt3(words: np.ndarray) -> np.ndarray:
    """Return the events of EVT3 words, which change y, x, polarity and time one at a time.

    `time = wraps * 2^24 + TIME_HIGH * 2^12 + TIME_LOW`. Events before the first TIME_HIGH have
    no time and are left out; a file without any counts from 0.

    Args:
        words: `(n,) uint16`.
    """
    highs = np.flatnonzero(words >> 12 == TIME_HIGH)
    state, parts = _State(), []
    if len(highs):
        # what is set before the first time holds after it too
        begin = int(highs[0])
        _, state = _decode_chunk(words[:begin], state)
        words = words[begin:]
        state = replace(state, high=int(words[0]) & 0xFFF)
    for start in range(0, len(words), CHUNK):
        events, state = _decode_chunk(words[start : start + CHUNK], state)
        parts.append(events)
    return np.concatenate(parts) if parts else np.empty(0, EVENT_DTYPE)


def _decode_chunk(words: np.ndarray, state: _State) -> tuple[np.ndarray, _State]:
    """Return the events of some words, and what these words leave set."""
    if not len(words):
        return np.empty(0, EVENT_DTYPE), state
    kinds, values = words >> 12, (words & 0xFFF).astype(np.int64)
    y = _held(kinds == ADDRESS_Y, values & 0x7FF, state.y)
    low = _held(kinds == TIME_LOW, values, state.low)
    high = _held(kinds == TIME_HIGH, values, state.high)
    steps = np.diff(high, prepend=state.high)
    wraps = state.wraps + np.cumsum(steps < -HALF_OF_TIME_HIGH)
    base, polarity = _vectors(kinds, values, state)
    is_x = kinds == ADDRESS_X
    masks = np.where(kinds == VECTOR_12, values, 0)
    masks = np.where(kinds == VECTOR_8, values & 0xFF, masks)
    masks = np.where(is_x, 1, masks)
    rows, offsets = np.nonzero(masks[:, None] >> np.arange(12) & 1)
    x = np.where(is_x, values & 0x7FF, base)[rows] + offsets
    p = np.where(is_x, values >> 11, polarity)[rows]
    times = (wraps << 24) + (high << 12) + low
    after = _State(
        y=int(y[-1]),
        base=int(base[-1]) + _advance(kinds[-1:])[0].item(),
        polarity=int(polarity[-1]),
        low=int(low[-1]),
        high=int(high[-1]),
        wraps=int(wraps[-1]),
    )
    return _events(times[rows], x, y[rows], p), after


def _vectors(kinds: np.ndarray, values: np.ndarray, state: _State) -> tuple[np.ndarray, np.ndarray]:
    """Return the x of the first pixel, and the polarity, that a vector at each word has."""
    is_base = kinds == VECTOR_BASE
    steps = _advance(kinds)
    before = np.cumsum(steps) - steps
    origin = _held(is_base, (values & 0x7FF) - before, state.base)
    return origin + before, _held(is_base, values >> 11, state.polarity)


def _advance(kinds: np.ndarray) -> np.ndarray:
    """Return how many pixels each word moves the base of the vectors on."""
    return 12 * (kinds == VECTOR_12).astype(np.int64) + 8 * (kinds == VECTOR_8)


def _held(is_set: np.ndarray, values: np.ndarray, before: int) -> np.ndarray:
    """Return the value that was set last at each word; `before` where none was."""
    last = np.maximum.accumulate(np.where(is_set, np.arange(len(values)), -1))
    return np.where(last >= 0, values[last], before)


def _events(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    events = np.empty(len(t), EVENT_DTYPE)
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return events


DECODERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "dat": decode_dat,
    "evt2": decode_evt2,
    "evt21": decode_evt21,
    "evt3": decode_evt3,
}
