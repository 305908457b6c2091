"""The pixels of the simulated sensor, against a sensor that looks twenty times a microsecond."""

import numpy as np
import pytest

from speckflex.kernels.sense_changes import sense_changes


def sense_slowly(levels, times, thresholds, refractory):
    """Return (µs, pixel, polarity) of pixels that look at their level every 0.05 µs."""
    found = []
    for pixel, path in enumerate(levels):
        moments = np.arange(0, times[-1] + 0.05, 0.05)
        seen = np.interp(moments, times, path).tolist()
        reference, waits = seen[0], 0.0
        for now, level in zip(moments.tolist(), seen, strict=True):
            if now < waits:
                reference = level
                continue
            for polarity, sign in ((1, 1), (0, -1)):
                while sign * (level - reference) >= thresholds[polarity, pixel]:
                    found.append((now, pixel, polarity))
                    reference += sign * thresholds[polarity, pixel]
                    if refractory:
                        waits, reference = now + refractory, level
                        break
    return found


@pytest.mark.parametrize("refractory", [0, 40, 333])
def test_events_are_those_of_a_sensor_that_looks_all_the_time(refractory):
    rng = np.random.default_rng(refractory)
    times = np.arange(0, 2001, 100).astype(float)
    levels = np.cumsum(rng.normal(0, 0.6, (5, times.size)), axis=1)
    levels[:, 8:12] = levels[:, 8:9]  # a pause
    thresholds = rng.uniform(0.2, 0.5, (2, 5))
    found = np.empty((400, 4))
    count = sense_changes(levels, times, thresholds, float(refractory), found)
    expected = sense_slowly(levels, times, thresholds, refractory)
    assert count == len(expected) > 15
    found = found[:count]
    assert found[:, 2:].astype(int).tolist() == [[p, q] for _, p, q in expected]
    # the slow one sees each change up to 0.05 µs late, which adds up over its waits
    assert np.abs(found[:, 1] - [t for t, _, _ in expected]).max() < 1
    step = np.searchsorted(times, found[:, 1])
    assert np.abs(found[:, 0] - step).max() <= 1
    assert np.mean(found[:, 0] == step) > 0.9


def test_without_room_the_events_are_only_counted():
    levels = np.array([[0.0, 5.0]])
    found = np.full((2, 4), -1.0)
    thresholds = np.full((2, 1), 1.0)
    assert sense_changes(levels, np.array([0.0, 100.0]), thresholds, 0.0, found) == 5
    assert found[:, 1].tolist() == [20.0, 40.0]
