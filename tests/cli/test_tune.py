"""`speckflex tune` and `analyse`: what they write and print is what the twin says."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from speckflex.cli import main
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A file of a program that takes events of the synthetic digits; its second core has most."""
    first = Core(
        "conv1",
        np.full((4, 2, 1, 1), 60),
        60,
        -60,
        (2, 34, 34),
        destinations=(Destination(1, pooling=2),),
        chip_core=0,
    )
    fc = np.random.default_rng(1).integers(-20, 21, (10, 4, 17, 17))
    last = Core("fc", fc, 200, -200, (4, 17, 17), chip_core=2)
    path = tmp_path_factory.mktemp("tune") / "net.speck"
    Program((first, last), InputStage((2, 34, 34))).save(path)
    return path


def run(*words):
    return CliRunner().invoke(main, ["tune", *map(str, words)])


def test_the_written_program_has_the_load_that_the_command_states(network, tmp_path):
    out = tmp_path / "tuned.speck"
    data = ("--data", "synthetic-digits", "--samples", 20, "--cache", tmp_path)
    search = ("--budget", 0.6, "--configurations", 4, "--threads", 1)
    result = run(network, "-o", out, *data, *search, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    tuned = Program.load(out)
    assert found["sha256"] == tuned.sha256 != Program.load(network).sha256
    assert found["busiest"][1] < 0.7 * found["busiest"][0]
    assert found["synthetic"] is True
    assert found["gain"]["recordings"] == len(found["answers"]) == 10
    assert tuned.cores[0].threshold_high == found["layers"][0]["threshold"][1] > 60


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--budget", 1), 2, "--budget"),
        (("--data", "synthetic-digits", "--samples", 10), 1, "tuning needs samples with labels"),
    ],
)
def test_what_can_not_be_tuned_is_refused_in_one_line(network, tmp_path, words, code, message):
    result = run(network, "-o", tmp_path / "t.speck", *words)
    assert result.exit_code == code
    assert message in result.output
    assert not (tmp_path / "t.speck").exists()


def test_analysed_programs_stand_side_by_side_and_start_from_the_plain_accuracy(network, tmp_path):
    data = ("--data", "synthetic-digits", "--samples", 5, "--cache", tmp_path)
    words = ("analyse", network, network, *data, "--runs", 1, "--threads", 1)
    out = tmp_path / "curves.SVG"
    result = CliRunner().invoke(main, [*map(str, words), "--json", "--out", str(out)])
    assert result.exit_code == 0, result.output
    # one panel for each noise on the twin; a program has no landscape in torch
    assert re.findall(r'id="(axes_\d+)"', out.read_text()) == ["axes_1", "axes_2", "axes_3"]
    found = json.loads(result.stdout)
    first, second = found["analyses"]
    assert first == second
    assert first["flatness"] is None
    assert [curve["kind"] for curve in first["curves"]] == [
        "weights",
        "noise events",
        "lost events",
    ]
    assert len({curve["plain"] for curve in first["curves"]}) == 1
    assert found["synthetic"] is True


def test_the_page_holds_what_the_command_prints(network, tmp_path):
    data = ("--data", "synthetic-digits", "--samples", 2, "--cache", tmp_path)
    out = tmp_path / "curves.HTML"
    words = ("analyse", network, *data, "--runs", 1, "--threads", 1, "--json", "--out", out)
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == 0, result.output
    page = out.read_text()
    for curve in json.loads(result.stdout)["analyses"][0]["curves"]:
        assert f"{curve['plain']:.1%}" in page
        assert f"<td>{curve['points'][-1]['mean']:.1%}</td>" in page


@pytest.mark.parametrize("name", ["curves.png", "curves.pt"])
def test_curves_are_written_in_the_format_that_their_name_promises(network, tmp_path, name):
    words = ("analyse", network, "--data", "synthetic-digits", "--out", tmp_path / name)
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == 2
    assert "end its name in .svg" in result.stderr


def test_an_analysis_without_recordings_is_misuse(network):
    result = CliRunner().invoke(main, ["analyse", str(network)])
    assert result.exit_code == 2
    assert "no recordings are given" in result.output
