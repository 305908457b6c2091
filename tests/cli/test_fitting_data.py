"""The options that fit recordings to a network, from a camera's file to the report."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from speckflex.cli import main
from speckflex.events.streams import hash_events, make_events
from speckflex.recordings.recording import Recording

BUNDLED = files("speckflex") / "models" / "synthetic-digits.pt"
BOARD = ["--board", "twin", "--threads", "1", "--bins", "2"]


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """0.5 s of a 640 x 480 camera under other names, 3000 events, seconds and signs."""
    rng = np.random.default_rng(3)
    array = np.empty(3000, [("ts", "f8"), ("x", "u2"), ("y", "u2"), ("polarity", "i1")])
    array["ts"] = np.sort(rng.integers(0, 500_000, 3000)) / 1e6
    array["x"], array["y"] = rng.integers(0, 640, 3000), rng.integers(0, 480, 3000)
    array["polarity"] = rng.choice([-1, 1], 3000)
    np.save(tmp_path / "camera.npy", array)
    return tmp_path / "camera.npy"


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_camera_reaches_a_network_of_34_by_34_in_one_command(camera: Path, tmp_path: Path):
    reading = ["--data", camera, "--time-unit", "s", "--sensor", "640x480"]
    fit = ["--crop", "80,0,480,480", "--resize", "34x34", "--window", "0.2s"]
    done = run("deploy", BUNDLED, *BOARD, *reading, *fit, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["samples"] == 2
    words = [
        "cropped to 480 x 480 pixels at x = 80, y = 0",
        "pooled from 480 x 480 to 34 x 34 pixels; all events are kept, so a pixel's rate grows",
        "windows of 200000 µs every 200000 µs",
    ]
    assert report["data"]["changes"] == words
    assert words[1] in (tmp_path / "out" / "report.html").read_text().replace("&#39;", "'")
    array = np.load(camera)
    t = np.rint(array["ts"] * 1e6).astype(int)
    # the first window begins with the first event inside the crop
    first = t[(array["x"] >= 80) & (array["x"] < 560)][0]
    inside = (array["x"] >= 80) & (array["x"] < 560) & (t < first + 200_000)
    x, y = (array["x"].astype(int) - 80) * 34 // 480, array["y"].astype(int) * 34 // 480
    expected = make_events(t - first, x, y, array["polarity"] > 0)[inside]
    for name in ("twin", "torch"):
        recording = Recording.load(tmp_path / "out" / f"recording-{name}.h5")
        assert recording.provenance.settings["input"] == "; ".join(words)
        assert recording.samples[0].written == len(expected)
    twin = Recording.load(tmp_path / "out" / "recording-twin.h5")
    assert twin.samples[0].input_sha256 in {"", hash_events(expected)}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 1, "unknown unit: say it, such as --time-unit s"),
        (["--time-unit", "s", "--resize", "34x34"], 1, "say it, such as --sensor 640x480"),
        (["--time-unit", "s", "--input-shape", "2,34,34"], 1, "fit them with --resize 34x34"),
        (["--crop", "1,2,3"], 2, "is no part of a sensor"),
        (["--crop", "1,2,0,5"], 2, "is no part of a sensor"),
        (["--resize", "34"], 2, "is no size"),
        (["--window", "0.3"], 2, "is no time: write it with its unit"),
        (["--window", "0s"], 2, "is no time"),
        (["--stride", "1s"], 2, "stride 1000000 µs without a window"),
        (["--fields", "t"], 2, "names no fields"),
        (["--fields", "z=t"], 1, "fields has 'z'"),
        (["--sensor", "0x5"], 2, "is no size"),
    ],
)
def test_a_wrong_option_is_one_line_with_what_to_write(camera: Path, options, code, message):
    done = run("deploy", BUNDLED, *BOARD, "--data", camera, *options)
    assert done.exit_code == code, done.output
    assert message in done.output
    assert "Traceback" not in done.output
