"""Event arrays: dtypes, ranges and the sentences about what is wrong with them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speckflex.errors import EventsError
from speckflex.events.streams import (
    EVENT_DTYPE,
    FIELDS,
    as_events,
    check_events,
    find_late,
    make_events,
)

SHAPE = (2, 8, 9)


def one_event(**fields):
    values = {"t": 5, "x": 1, "y": 2, "p": 1} | fields
    return make_events(*(np.array([values[name]]) for name in FIELDS))


@given(
    order=st.permutations(FIELDS),
    kinds=st.lists(st.sampled_from(["<i8", "<i4", "<u2", "<f8", ">i4"]), min_size=4, max_size=4),
    size=st.integers(0, 5),
)
def test_field_order_and_number_type_do_not_matter(order, kinds, size):
    dtype = np.dtype(list(zip(order, kinds, strict=True)))
    array = np.zeros(size, dtype)
    for name in FIELDS:
        array[name] = np.arange(size) + FIELDS.index(name)
    events = as_events(array)
    assert events.dtype == EVENT_DTYPE
    for name in FIELDS:
        np.testing.assert_array_equal(events[name], array[name])


def test_boolean_polarities_become_channels():
    array = np.array([(1, 2, 3, True)], [("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "?")])
    assert as_events(array)["p"][0] == 1


def test_events_keep_their_order_even_where_times_fall():
    events = make_events(*(np.array(column) for column in ([5, 3], [1, 2], [0, 0], [0, 1])))
    np.testing.assert_array_equal(check_events(events, SHAPE)["t"], [5, 3])


@given(st.lists(st.integers(0, 9), max_size=12))
def test_late_events_are_those_with_a_later_one_before_them(times):
    events = make_events(times, times, times, times)
    late = [i for i, time in enumerate(times) if any(before > time for before in times[:i])]
    assert find_late(events).tolist() == late


def test_extra_fields_are_left_out():
    array = np.zeros(2, [*((name, "i8") for name in FIELDS), ("weight", "f4")])
    assert as_events(array).dtype == EVENT_DTYPE


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.zeros(3), "float64"),
        (np.zeros((2, 2), EVENT_DTYPE.descr), "shape"),
        (np.zeros(2, [("t", "i8"), ("x", "i2")]), "t, x, y, p"),
        (np.zeros(2, [(name, "S1") for name in FIELDS]), "no numbers"),
        (np.array([(0.5, 0, 0, 0)], [(name, "f8") for name in FIELDS]), "fractions"),
        (np.array([(np.nan, 0, 0, 0)], [(name, "f8") for name in FIELDS]), "NaN"),
        (np.array([(0, 70000, 0, 0)], [(name, "i8") for name in FIELDS]), "field x"),
    ],
)
def test_what_is_no_event_stream_is_refused_by_name(array, part):
    if array.dtype == EVENT_DTYPE and array.ndim == 2:
        array = array.astype([(name, "i8") for name in FIELDS])
    with pytest.raises(EventsError, match=part) as error:
        as_events(array, source="my file")
    assert str(error.value).startswith("my file")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "value"), [("x", 9), ("y", 8), ("p", 2), ("x", -1)])
def test_an_address_outside_the_input_is_named(name, value):
    with pytest.raises(EventsError, match=f"event 0 has {name} = {value}"):
        check_events(one_event(**{name: value}), SHAPE)


def test_a_polarity_of_minus_one_is_told_how_to_be_written():
    with pytest.raises(EventsError, match=r"p = -1.*write polarities as 0 and 1"):
        check_events(make_events(*np.array([[0], [1], [1], [-1]])), (2, 4, 4))


def test_a_time_after_285_years_is_named():
    """A float of 64 bits holds every whole number up to 2**53."""
    events = make_events([0, 2**53], [0, 0], [0, 0], [0, 0])
    check_events(events, (1, 4, 4))
    events["t"][1] += 1
    with pytest.raises(EventsError, match="event 1 has time 9007199254740993 µs"):
        check_events(events, (1, 4, 4))


def test_a_negative_time_is_named():
    with pytest.raises(EventsError, match="time -1 µs"):
        check_events(one_event(t=-1), SHAPE)


@given(st.integers(0, 8), st.integers(0, 7), st.integers(0, 1))
def test_every_address_inside_the_input_is_taken(x, y, channel):
    assert len(check_events(one_event(x=x, y=y, p=channel), SHAPE)) == 1
