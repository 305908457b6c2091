"""Recordings fitted to a network, against loops over single events and numbers worked by hand."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speckflex.chips.speck import SPECK2F
from speckflex.data import Crop, Preprocessing, open_dataset, preprocess
from speckflex.errors import EventsError
from speckflex.events.reshaping import crop_events, pool_events, thin_pooled_events
from speckflex.events.streams import make_events

SENSOR = (12, 18)
rows = st.lists(
    st.tuples(st.integers(0, 99), st.integers(0, 17), st.integers(0, 11), st.integers(0, 1)),
    max_size=120,
)


def events_of(found: list[tuple[int, ...]]) -> np.ndarray:
    return make_events(*np.array(found, np.int64).reshape(-1, 4).T)


@given(rows, st.integers(0, 9), st.integers(0, 9), st.integers(1, 12), st.integers(1, 12))
def test_a_crop_keeps_what_lies_inside_and_moves_it(found, y0, x0, height, width):
    expected = [
        (t, x - x0, y - y0, p)
        for t, x, y, p in found
        if x0 <= x < x0 + width and y0 <= y < y0 + height
    ]
    assert crop_events(events_of(found), (y0, x0), (height, width)).tolist() == expected


@given(rows, st.integers(1, 12), st.integers(1, 18))
def test_pooling_keeps_every_event(found, height, width):
    expected = [(t, x * width // 18, y * height // 12, p) for t, x, y, p in found]
    assert pool_events(events_of(found), SENSOR, (height, width)).tolist() == expected


@pytest.mark.parametrize("factor", SPECK2F.limits.poolings)
def test_pooling_to_a_whole_part_is_what_the_chips_input_stage_does(factor):
    # InputStage: an event at (y, x) goes on at (y // pooling, x // pooling)
    _, height, width = SPECK2F.dvs.shape
    y, x = (axis.ravel() for axis in np.indices((height, width)))
    pooled = pool_events(make_events(x, x, y, x % 2), (height, width), (height // factor,) * 2)
    assert np.array_equal(pooled["y"], y // factor)
    assert np.array_equal(pooled["x"], x // factor)


@given(rows, st.integers(1, 12), st.integers(1, 18))
def test_thinning_lets_each_pixel_pass_its_share(found, height, width):
    pooled = pool_events(events_of(found), SENSOR, (height, width))
    # an event adds its share to its pixel; each time the sum passes a whole number, one goes on
    share, sums, expected = Fraction(height * width, 12 * 18), {}, []
    for row in pooled.tolist():
        before = sums.get(row[1:], Fraction(0))
        sums[row[1:]] = before + share
        if before // 1 < (before + share) // 1:
            expected.append(row)
    assert thin_pooled_events(pooled, SENSOR, (height, width)).tolist() == expected


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """A recording of 1 s of a 640 x 480 sensor, 2000 events everywhere on it."""
    rng = np.random.default_rng(7)
    n = 2000
    t = np.sort(rng.integers(0, 1_000_000, n))
    events = make_events(t, rng.integers(0, 640, n), rng.integers(0, 480, n), rng.integers(0, 2, n))
    np.save(tmp_path / "camera.npy", events)
    return tmp_path / "camera.npy"


def test_a_camera_reaches_the_shape_of_a_network(camera: Path):
    dataset = open_dataset(camera, sensor=(480, 640))
    fitted = preprocess(dataset, Preprocessing(crop=Crop((480, 480)), resize=(34, 34), merge=True))
    assert fitted.shape == (1, 34, 34)
    events, _ = fitted[0]
    whole, _ = dataset[0]
    inside = whole[(whole["x"] >= 80) & (whole["x"] < 560)]
    assert len(events) == len(inside)
    assert np.array_equal(events["x"], (inside["x"] - 80) * 34 // 480)
    assert set(events["p"].tolist()) == {0}
    assert fitted.changes == (
        "cropped to 480 x 480 pixels at x = 80, y = 0",
        "pooled from 480 x 480 to 34 x 34 pixels; all events are kept, so a pixel's rate grows",
        "polarities merged in channel 0",
    )


def test_a_kept_rate_leaves_the_events_of_a_pixel_as_they_were(camera: Path):
    dataset = open_dataset(camera, sensor=(480, 640))
    fitted = preprocess(dataset, Preprocessing(resize=(48, 64), keep="rate"))
    # 2000 events on 307200 pixels are 20 on 3072, less what each pixel has not yet gathered
    assert len(fitted[0][0]) <= 20
    fitted = preprocess(dataset, Preprocessing(resize=(1, 1), keep="rate"))
    assert len(fitted[0][0]) == 0
    dense = preprocess(dataset, Preprocessing(resize=(240, 320), keep="rate"))
    counted = preprocess(dataset, Preprocessing(resize=(240, 320)))
    assert len(counted[0][0]) == 2000
    assert len(dense[0][0]) < 500


def test_windows_are_samples_of_their_own(tmp_path: Path):
    for name, times in (("a", [100, 150, 299, 300, 399, 400]), ("b", [5, 9])):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "1.npy", events_of([(t, 1, 2, 0) for t in times]))
    dataset = open_dataset(tmp_path, sensor=(4, 4))
    fitted = preprocess(dataset, Preprocessing(window=200, stride=100))
    # [100, 300), [200, 400) are whole; [300, 500) is not; b is shorter than a window
    times = [events["t"].tolist() for events, _ in fitted]
    assert times == [[0, 50, 199], [99, 100, 199], [0, 4]]
    assert fitted.labels.tolist() == [0, 0, 1]
    assert str(fitted.items[1]).endswith("1.npy from 200 to 400 µs")
    assert len(preprocess(dataset, Preprocessing(window=200))) == 2
    assert len(preprocess(dataset, Preprocessing(window=1_000))) == 2
    assert fitted.changes == ("windows of 200 µs every 100 µs",)


def test_a_crop_with_a_corner_needs_no_stated_sensor(camera: Path):
    fitted = preprocess(open_dataset(camera), Preprocessing(crop=Crop((100, 200), (30, 40))))
    assert (fitted.shape, fitted.shape_stated) == ((2, 100, 200), True)
    assert preprocess(fitted, Preprocessing(resize=(10, 10))).shape == (2, 10, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resize": (34, 34)}, "does not state the size of its sensor, and resizing depends on it"),
        ({"crop": Crop((34, 34))}, "the centre of the sensor depends on it: say it, such as"),
        ({"crop": Crop((0, 4), (0, 0))}, "give sizes of at least 1 pixel"),
        ({"crop": Crop((4, 4), (-1, 0))}, "a corner on the sensor"),
        ({"resize": (0, 4)}, "give sizes of at least 1 pixel"),
        ({"window": 0}, "give at least 1 µs for each"),
        ({"stride": 10}, "stride 10 µs without a window"),
        ({"keep": "all"}, "use counts or rate"),
        ({"window": 1, "stride": 1}, "windows, at most 10 are cut"),
    ],
)
def test_what_does_not_fit_is_refused(camera: Path, settings, message: str, monkeypatch):
    monkeypatch.setattr("speckflex.data.preprocessing.MOST_WINDOWS", 10)
    with pytest.raises(EventsError, match=message):
        preprocess(open_dataset(camera), Preprocessing(**settings))


def test_what_leaves_a_stated_sensor_is_refused(camera: Path):
    dataset = open_dataset(camera, sensor=(480, 640))
    with pytest.raises(EventsError, match="640 x 10 pixels at x = 0, y = 475 does not lie on the"):
        preprocess(dataset, Preprocessing(crop=Crop((10, 640), (475, 0))))
    with pytest.raises(EventsError, match="640 x 480 pixels, which can't be pooled to 641 x 34"):
        preprocess(dataset, Preprocessing(resize=(34, 641)))
    # the size that a user states must hold the events, also where a crop would hide them
    small = open_dataset(camera, sensor=(40, 40))
    with pytest.raises(EventsError, match=r"event \d+ has y = \d+, the input has 40"):
        preprocess(small, Preprocessing(crop=Crop((10, 10))))[0]


def test_a_network_of_another_shape_names_the_options_that_fit(camera: Path):
    dataset = open_dataset(camera, sensor=(480, 640))
    with pytest.raises(EventsError, match="fit them with --merge-polarities --resize 34x34, or"):
        dataset.on_sensor((1, 34, 34))
