"""Frames against a brute-force count and against tonic."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tonic.functional import to_frame_numpy

from speckflex.errors import EventsError
from speckflex.events.frames import to_frames, to_frames_by_time
from speckflex.events.streams import make_events

SHAPE = (2, 5, 7)


@st.composite
def streams(draw: st.DrawFn, min_size: int = 0, max_time: int = 2000) -> np.ndarray:
    """Unordered event streams on a sensor of 5 by 7 pixels."""
    event = st.tuples(
        st.integers(0, max_time), st.integers(0, 6), st.integers(0, 4), st.integers(0, 1)
    )
    rows = draw(st.lists(event, min_size=min_size, max_size=60))
    return make_events(*np.array(rows, np.int64).reshape(-1, 4).T)


def count_one_by_one(
    events: np.ndarray, bins: Sequence[int] | np.ndarray, n_bins: int
) -> np.ndarray:
    frames = np.zeros((n_bins, *SHAPE), np.int64)
    for event, index in zip(events, bins, strict=True):
        frames[index, event["p"], event["y"], event["x"]] += 1
    return frames


@given(streams(), st.integers(1, 12), st.none() | st.integers(1, 3000))
def test_every_event_is_counted_once_at_its_address(
    events: np.ndarray, n_bins: int, duration: int | None
):
    frames = to_frames(events, SHAPE, n_bins, duration=duration)
    assert frames.shape == (n_bins, *SHAPE)
    whole = count_one_by_one(events, np.zeros(len(events), int), 1)[0]
    assert np.array_equal(frames.sum(axis=0), whole)


@given(streams(), st.integers(1, 12), st.integers(1, 3000))
def test_frames_of_a_duration_match_exact_fractions(events: np.ndarray, n_bins: int, duration: int):
    bins = [min(int(t) * n_bins // duration, n_bins - 1) for t in events["t"]]
    frames = to_frames(events, SHAPE, n_bins, duration=duration)
    assert np.array_equal(frames, count_one_by_one(events, bins, n_bins))


@given(streams(min_size=2), st.integers(1, 12))
def test_frames_equal_those_of_tonic_but_for_what_tonic_drops_at_the_end(
    events: np.ndarray, n_bins: int
):
    events = np.sort(events, order="t")
    if events["t"][-1] - events["t"][0] < n_bins:
        events["t"] *= n_bins
        events["t"][-1] += n_bins
    theirs = to_frame_numpy(events.copy(), (7, 5, 2), n_time_bins=n_bins)
    ours = to_frames(events, SHAPE, n_bins)
    assert np.array_equal(ours[:-1], theirs[:-1])
    dropped = ours[-1] - theirs[-1]
    assert (dropped >= 0).all()
    assert dropped.sum() == len(events) - theirs.sum() >= 1


@given(streams(), st.integers(1, 500))
def test_frames_by_time_hold_the_events_of_their_window(events: np.ndarray, bin_us: int):
    frames = to_frames_by_time(events, SHAPE, bin_us)
    bins = [int(t) // bin_us for t in events["t"]]
    assert np.array_equal(frames, count_one_by_one(events, bins, max(bins, default=0) + 1))


@given(streams(min_size=1), st.integers(1, 12), st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(events: np.ndarray, n_bins: int, random: Random):
    order = list(range(len(events)))
    random.shuffle(order)
    assert np.array_equal(to_frames(events, SHAPE, n_bins), to_frames(events[order], SHAPE, n_bins))


def test_an_empty_stream_gives_empty_frames():
    events = make_events(*np.zeros((4, 0), np.int64))
    assert to_frames(events, SHAPE, 3).sum() == 0
    assert to_frames_by_time(events, SHAPE, 10).shape == (1, *SHAPE)


def test_bins_below_one_and_addresses_outside_are_refused():
    events = make_events(*np.array([[0], [6], [0], [0]]))
    with pytest.raises(EventsError, match="n_bins is 0"):
        to_frames(events, SHAPE, 0)
    with pytest.raises(EventsError, match="duration is -5"):
        to_frames(events, SHAPE, 2, duration=-5)
    with pytest.raises(EventsError, match="bin_us is 0"):
        to_frames_by_time(events, SHAPE, 0)
    with pytest.raises(EventsError, match="event 0 has x = 6"):
        to_frames(events, (2, 5, 6), 2)


def test_frames_that_can_not_fit_into_memory_are_refused():
    events = make_events(*np.array([[2**50], [0], [0], [0]]))
    with pytest.raises(EventsError, match="use longer bins"):
        to_frames_by_time(events, SHAPE, 1000)
