"""`speckflex view`: facts and pictures of recordings, against counts made by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from speckflex.cli import main
from speckflex.data import count_events, count_frames, summarise
from speckflex.events.streams import make_events

# t, x, y, p: the third is earlier than the second; 4 events within 10 ms from the first on
ROWS = [
    (1000, 0, 0, 1),
    (3000, 31, 0, 1),
    (2000, 31, 15, 0),
    (10_999, 16, 8, 1),
    (501_000, 5, 7, 0),
]
EVENTS = make_events(*np.array(ROWS).T)


def run(*arguments: object, **settings):
    return CliRunner().invoke(main, ["view", *map(str, arguments)], **settings)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    np.save(tmp_path / "take.npy", EVENTS)
    return tmp_path / "take.npy"


def test_a_summary_is_what_a_count_by_hand_gives():
    found = summarise(EVENTS, (2, 16, 32))
    assert (found.events, found.start, found.duration) == (5, 1000, 500_000)
    assert (found.rate, found.peak_rate) == (10.0, 400.0)
    assert (found.x, found.y) == ((0, 31), (0, 15))
    assert (found.channels, found.on_share, found.late) == ((2, 3), 0.6, 1)
    empty = summarise(EVENTS[:0], (2, 16, 32))
    assert (empty.events, empty.rate, empty.x, empty.on_share) == (0, None, None, None)
    one = summarise(EVENTS[:1], (2, 16, 32))
    assert (one.duration, one.rate, one.peak_rate) == (0, None, 100.0)


def test_pictures_count_every_event_once():
    picture = count_events(EVENTS, (2, 16, 32), (2, 2))
    assert picture.tolist() == [[[1, 0], [0, 1]], [[1, 1], [0, 1]]]
    frames = count_frames(EVENTS, (2, 16, 32), (2, 2), 2)
    assert frames.sum(axis=(1, 2, 3)).tolist() == [4, 1]
    assert count_frames(EVENTS[:0], (2, 16, 32), (2, 2), 3).sum() == 0


def test_a_terminal_of_80_columns_shows_facts_and_pictures(recording: Path):
    done = run(recording, "--sensor", "32x16", env={"NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    for words in ("32 x 16 pixels (stated)", "60.0% on, 40.0% off", "1 events are late"):
        assert words in done.output
    assert "mean 10 events/s, peak 400 events/s in 10 ms" in done.output
    assert "0.500000 s, from 0.001000 s" in done.output
    pictures = done.output[done.output.index("all events") :]
    assert max(map(len, pictures.splitlines())) <= 80
    assert "\x1b" not in done.output
    # 16 rows of 32 pixels are at most 16 x 32 characters: five of them are not blank
    first = pictures.split("in 4 equal")[0]
    assert len(re.findall(r"[░▒▓█]", first)) == 5


def test_a_size_that_is_not_stated_is_told(recording: Path):
    assert "not stated: the extent of the events" in run(recording).output


def test_json_has_the_facts(recording: Path):
    facts = json.loads(run(recording, "--json").stdout)
    assert (facts["shape"], facts["sensor_stated"]) == ([2, 16, 32], False)
    assert facts["recordings"][0]["events"] == 5
    assert facts["recordings"][0]["late"] == 1
    assert facts["recordings"][0]["label"] == -1


def test_a_page_loads_nothing_and_has_a_picture_for_each_frame(recording: Path, tmp_path: Path):
    done = run(recording, "--html", tmp_path / "view.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "view.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 1 + 8
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<script" not in page


def test_markup_in_the_name_of_a_file_stays_text(tmp_path: Path):
    path = tmp_path / "<script>alert(1)<"
    path.mkdir()
    np.save(path / "a.npy", EVENTS)
    done = run(path, "--html", tmp_path / "view.html")
    assert done.exit_code == 0, done.output
    assert "<script" not in (tmp_path / "view.html").read_text(encoding="utf-8")


def test_a_data_set_is_summed_up_and_one_recording_is_drawn(tmp_path: Path):
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "1.npy", EVENTS[: 5 if name == "left" else 2])
    done = run(tmp_path, "--index", "1")
    assert "2 read, of 2 classes left, right" in done.output
    assert "2, 3.5, 5 (smallest, median, largest)" in done.output
    assert re.search(r"class +right", done.output)
    done = run(tmp_path, "--index", "2")
    assert done.exit_code == 1
    assert "none of them is number 2: give --index from 0 to 1" in done.output


def test_recordings_are_shown_as_they_are_fitted(recording: Path):
    options = ("--sensor", "32x16", "--resize", "8x8", "--merge-polarities", "--window", "10ms")
    facts = json.loads(run(recording, *options, "--json").stdout)
    assert facts["shape"] == [1, 8, 8]
    assert len(facts["recordings"]) == 50
    assert [one["events"] for one in facts["recordings"]][:2] == [4, 0]
    assert len(facts["changes"]) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.npy", "no file, folder or data set has this name"), ("bad.npy", "no plain numpy")],
)
def test_what_can_t_be_read_is_one_line(tmp_path: Path, name: str, message: str):
    (tmp_path / "bad.npy").write_bytes(b"bad")
    done = run(tmp_path / name)
    assert done.exit_code == 1
    assert message in done.output
    assert done.output.count("\n") == 1


def test_the_name_of_a_file_can_t_steer_the_terminal(tmp_path: Path):
    path = tmp_path / "\x1b[31mred\n.npy"
    path.write_bytes(b"bad")
    done = run(path, color=True)
    assert done.output.count("\n") == 1
    assert "\\x1b[31mred\\n.npy: no plain numpy array" in done.output
    np.save(path, EVENTS)
    assert "\x1b" not in run(path, color=True, env={"NO_COLOR": "1"}).output


@pytest.mark.parametrize("n_events", [0, 1])
def test_a_recording_of_one_event_or_none_is_shown(tmp_path: Path, n_events: int):
    np.save(tmp_path / "a.npy", EVENTS[:n_events])
    done = run(tmp_path / "a.npy", "--html", tmp_path / "a.html")
    assert done.exit_code == 0, done.output
    assert re.search(rf"events +{n_events}\n", done.output)
    facts = json.loads(run(tmp_path / "a.npy", "--json").stdout)
    assert facts["recordings"][0]["rate"] is None
