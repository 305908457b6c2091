"""How recordings and differences look: in one line, in a notebook, and as pictures."""

import re
import subprocess
import sys

import numpy as np
import pytest

import speckflex as sf
from speckflex.events.streams import make_events
from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog


def recording(*, scale=1, name="<conv>"):
    """Return two samples of a layer of 1 x 2 x 3 neurons and an output of two classes."""
    rng = np.random.default_rng(3)
    layers = []
    for index, shape in enumerate(((1, 2, 3), (2, 1, 1))):
        n = 12 * scale
        columns = [rng.integers(0, side, n) for side in shape[::-1]]
        events = make_events(np.sort(rng.integers(0, 9000, n)), *columns)
        counts = np.zeros((2, *shape), np.int64)
        np.add.at(counts[0], (events["p"], events["y"], events["x"]), 1)
        empty = make_events(*(np.zeros(0, int) for _ in range(4)))
        layers.append(LayerRecord(index, (name, "out")[index], counts, (events, empty)))
    logs = (SampleLog(5, 5, 24 * scale), SampleLog(0, 0, 0))
    return Recording(tuple(layers), 2, logs, Provenance("ab" * 32, "twin", "twin"))


def cells(html):
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]


def test_a_recording_is_one_line_and_a_table():
    one = recording()
    assert repr(one) == (
        "<Recording of twin: 2 samples, 2 of 2 layers, 24 spikes, 0 known lost,"
        " program abababababab>"
    )
    html = one._repr_html_()
    assert ["0", "&lt;conv&gt;", "1x2x3", "12", "spikes", "2"] in cells(html)
    assert "<conv>" not in html


def test_a_difference_is_one_line_and_a_table():
    difference = sf.compare(recording(), recording(scale=2))
    a, b = recording().counts(-1), recording(scale=2).counts(-1)
    share = f"{100 * np.abs(a - b).sum() / a.sum():.2f} %"
    assert repr(difference) == (
        f"<Difference over 2 samples: {share} at out, first in {difference.layers[0].name}>"
    )
    assert ["out", "12", "24", share] in [row[:4] for row in cells(difference._repr_html_())]


def test_a_difference_without_a_value_says_so():
    silent = recording().part(1, 2)
    assert "no value at out, no layer differs" in repr(sf.compare(silent, silent))
    assert "no value" in [t.get_text() for t in sf.compare(silent, silent).plot().axes[0].texts]


def test_the_bars_of_a_difference_are_the_shares_in_percent():
    difference = sf.compare(recording(), recording(scale=2))
    bars = [bar.get_width() for bar in difference.plot().axes[0].patches]
    assert bars == [100 * layer.spike_difference for layer in difference.layers]


def test_a_raster_has_a_point_for_each_spike_at_its_time_and_neuron():
    one = recording()
    (points,) = one.raster(layer=0).axes[0].lines
    events = one.events(0)
    np.testing.assert_array_equal(points.get_xdata(), events["t"] / 1000)
    np.testing.assert_array_equal(points.get_ydata(), 3 * events["y"] + events["x"])


def test_frames_show_every_spike_once():
    one = recording()
    images = [image for axes in one.frames(0, n_frames=4).axes for image in axes.images]
    assert len(images) == 4
    assert sum(int(image.get_array().sum()) for image in images) == 12
    with pytest.raises(sf.SpeckflexError, match="ask for at least 1"):
        one.frames(0, n_frames=0)


def test_a_picture_of_a_silent_sample_is_drawn():
    one = recording()
    assert one.raster(sample=1)._repr_png_().startswith(b"\x89PNG")
    assert len(one.frames(sample=1).axes) == 10


def test_a_picture_without_matplotlib_names_the_extra():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from speckflex._support.pictures import new_picture\n"
        "from speckflex import SpeckflexError\n"
        "try:\n    new_picture(1, 1)\n"
        "except SpeckflexError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stdout.strip().endswith("pip install 'speckflex[plots]'")
