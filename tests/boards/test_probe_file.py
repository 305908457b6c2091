"""Files of `speckflex probe`: what boards do with them, and what hostile ones are refused for."""

import json

import pytest
from click.testing import CliRunner

from speckflex.boards import open_board
from speckflex.boards.family import BoardName
from speckflex.boards.probe_file import MAX_BYTES, ProbeFile
from speckflex.cli import main
from speckflex.errors import BoardError, FileFormatError
from speckflex.twin.settings import TwinSettings

# Written by hand from the page on formats, not by `ProbeFile.save`.
FINDING = {
    "name": "overflow",
    "question": "what a potential does beyond 32767",
    "answer": "wrap",
    "hypotheses": ["saturate", "wrap"],
    "observed": {"spikes": 0, "potential": -32709},
    "problem": "",
}
WHOLE = {
    "format": "speckflex probe",
    "version": 1,
    "speckflex": "0.1.0",
    "board": {"name": "speck2f:0", "serial": "1234"},
    "started": "2026-11-27T03:00:00+00:00",
    "seconds": 41.5,
    "findings": [FINDING],
}


def write(path, **changes):
    path.write_text(json.dumps({**WHOLE, **changes}))
    return path


def test_a_twin_opens_with_what_was_found(tmp_path):
    path = write(tmp_path / "p.json")
    with open_board("twin", probe=path) as twin:
        assert twin.settings == TwinSettings(overflow="wrap")


def test_a_setting_that_is_stated_wins_over_what_was_found(tmp_path):
    other = {**FINDING, "name": "edge_spikes", "answer": "drop", "hypotheses": ["drop", "keep"]}
    path = write(tmp_path / "p.json", findings=[FINDING, other])
    with open_board("twin", probe=path, settings=TwinSettings(edge_spikes="keep")) as twin:
        assert twin.settings == TwinSettings(overflow="wrap", edge_spikes="keep")


def test_a_finding_without_an_answer_or_a_setting_changes_nothing(tmp_path):
    unsure = {**FINDING, "answer": "", "observed": 3}
    measured = {**FINDING, "name": "apply_time", "answer": "", "hypotheses": []}
    path = write(tmp_path / "p.json", findings=[unsure, measured])
    with open_board("twin", probe=path) as twin:
        assert twin.settings == TwinSettings()


def test_an_answer_that_is_no_value_of_its_setting_is_refused_with_the_file(tmp_path):
    other = {**FINDING, "answer": "sink", "hypotheses": ["sink"]}
    path = write(tmp_path / "p.json", findings=[other])
    with pytest.raises(BoardError, match=r"p\.json: twin setting overflow is 'sink'"):
        open_board("twin", probe=path)


def test_saving_and_loading_keeps_everything(tmp_path):
    found = ProbeFile.load(write(tmp_path / "p.json"))
    found.save(tmp_path / "q.json")
    assert json.loads((tmp_path / "q.json").read_text()) == WHOLE


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no JSON"),
        (DEEP, "is no JSON"),
        ("[]", "is no file of speckflex probe"),
        ('{"format": "other"}', "is no file of speckflex probe"),
        (json.dumps({**WHOLE, "version": 2}), "has version 2, this speckflex reads 1"),
        (json.dumps({**WHOLE, "version": True}), "has version True"),
        (json.dumps({**WHOLE, "findings": 5}), "no findings of a board"),
        (json.dumps({**WHOLE, "findings": [5]}), "no findings of a board"),
        (json.dumps({**WHOLE, "findings": [{"name": "overflow"}]}), "no findings of a board"),
        (json.dumps({**WHOLE, "findings": [{**FINDING, "answer": "x"}]}), "none of its hypotheses"),
        (json.dumps({**WHOLE, "findings": [{**FINDING, "name": 3}]}), "no findings of a board"),
        (json.dumps({**WHOLE, "findings": [FINDING] * 500}), "no findings of a board"),
        (json.dumps({**WHOLE, "seconds": "a\nb"}), "no findings of a board"),
        (json.dumps({**WHOLE, "board": ["x"]}), "no findings of a board"),
        (" " * (MAX_BYTES + 1), "has more than"),
    ],
)
def test_a_file_that_is_no_probe_file_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        open_board(f"twin?probe={path}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_missing_file_is_one_line_of_a_command(tmp_path):
    path = tmp_path / "none.json"
    arguments = ["doctor", "--board", f"twin?probe={path}"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    with pytest.raises(FileFormatError, match="No such file"):
        open_board(f"twin?probe={path}")


def test_control_codes_in_a_file_are_not_shown(tmp_path):
    path = write(tmp_path / "p.json", board={"name": "\x1b[2J", "serial": "s"})
    assert "\x1b" not in ProbeFile.load(path).label


def test_a_replay_opens_with_no_probe_file(tmp_path):
    with pytest.raises(BoardError, match="probe is no setting of this board"):
        open_board(f"replay:run.h5?probe={tmp_path}")


def test_a_name_has_three_parts():
    name = BoardName.parse("virtual:speck2e?probe=a:b?c.json")
    assert name == BoardName("virtual", "speck2e", "a:b?c.json")
    assert str(name) == "virtual:speck2e?probe=a:b?c.json"
