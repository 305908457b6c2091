"""Images as N-MNIST's sensor would see them, and other handwriting made of them."""

import numpy as np
import pytest

from speckflex.data import distort_images, simulate_image, write_saccade_recordings
from speckflex.data.formats.nmnist import read_nmnist_file
from speckflex.errors import EventsError


@pytest.fixture(scope="module")
def bar():
    """An upright bar on 28 x 28 pixels."""
    image = np.zeros((28, 28))
    image[5:23, 12:16] = 1.0
    return image


def test_a_pixel_rests_after_an_event(bar):
    """No two events of a pixel are closer than 0.9 ms but by the jitter of two times 0.15 ms."""
    events = simulate_image(bar, np.random.default_rng(1))
    pixels = events["y"].astype(int) * 34 + events["x"]
    order = np.lexsort((events["t"], pixels))
    gaps = np.diff(events["t"][order])[np.diff(pixels[order]) == 0]
    assert len(gaps) > 500
    assert np.percentile(gaps, 2) > 500


def test_sensors_differ_from_recording_to_recording(bar):
    counts = [len(simulate_image(bar, np.random.default_rng(seed))) for seed in range(12)]
    assert np.std(counts) > 0.05 * np.mean(counts)
    again = simulate_image(bar, np.random.default_rng(3))
    assert len(again) == counts[3]


def test_the_third_stroke_goes_sideways(bar):
    """An upright bar sends most events while it moves across itself."""
    flat = bar.T
    shares = []
    for image in (bar, flat):
        times = simulate_image(image, np.random.default_rng(2))["t"]
        shares.append(np.mean(times > 208_000))
    assert shares[0] > 2 * shares[1]


def test_without_strength_images_stay_and_with_it_they_differ(bar):
    images = np.stack([bar, bar])
    rng = np.random.default_rng(0)
    assert np.allclose(distort_images(images, 0.0, rng), images)
    first, second = distort_images((255 * images).astype(np.uint8), 1.0, rng)
    assert np.abs(first - second).max() > 0.5
    for distorted in (first, second):
        assert 0 <= distorted.min() <= distorted.max() <= 1
        assert 0.4 < distorted.sum() / bar.sum() < 2.5
        centre = [np.average(axis, weights=distorted) for axis in np.indices(bar.shape)]
        assert np.allclose(centre, 13.5, atol=4)


def test_files_hold_the_recordings_of_their_images(bar, tmp_path):
    write_saccade_recordings(np.stack([bar, bar]), [3, 4], tmp_path, seed=5, sensor="fitted")
    events = read_nmnist_file(tmp_path / "4" / "00001.bin")
    expected = simulate_image(bar, np.random.default_rng((5, 1)))
    assert len(events) == len(expected)
    assert np.array_equal(events["x"], expected["x"])
    with pytest.raises(
        EventsError, match="sensor 'best' is not known: choose one of plain, fitted"
    ):
        write_saccade_recordings(bar[None], [3], tmp_path, sensor="best")
