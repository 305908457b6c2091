"""`--config FILE.toml` of every command, and `--log-level`."""

import logging
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import speckflex
from speckflex.cli import COMMANDS, main
from speckflex.cli.config import as_toml
from speckflex.events.streams import make_events
from speckflex.training.recipes import RECIPES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MODEL = Path(speckflex.__file__).parent / "models" / "synthetic-digits.pt"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two classes of small recordings that do not state their sensor, as arrays in folders."""
    folder, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(5)
    for label in range(2):
        (folder / str(label)).mkdir()
        for index in range(4):
            t = np.sort(rng.integers(0, 10_000, 60))
            x, y, p = rng.integers(0, (12, 12, 2), (60, 3)).T
            np.save(folder / str(label) / f"{index}.npy", make_events(t, x, y, p))
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments):
    """Return the last line of a command that is misused."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr.splitlines()[-1]


def test_the_options_of_a_training_written_beside_it_give_it_again_bit_for_bit(recordings, here):
    quick = ("--width", "4", "--t", "2", "--epochs", "1", "--lr", "2e-3", "--threads", "1")
    first = run("train", "--data", recordings, *quick, "--sensor", "12x12", "-o", "a.pt")
    assert first.exit_code == 0, first.output
    again = run("train", "--config", "a.pt.toml", "--out", "b.pt")
    assert again.exit_code == 0, again.output
    assert Path("a.pt").read_bytes() == Path("b.pt").read_bytes()
    written = tomllib.loads(Path("b.pt.toml").read_text(encoding="utf-8"))
    assert (written["width"], written["t-max"], written["learning-rate"]) == (4, 2, 2e-3)
    assert (written["sensor"], written["out"], written["seed"]) == ("12x12", "b.pt", 0)
    assert not {"config", "resume", "checkpoint"} & set(written)


def test_a_file_may_hold_arguments_lists_and_flags(here):
    Path("run.toml").write_text(
        f"model = {str(MODEL)!r}\ninput-shape = [2, 34, 34]\njson = true\nchip = 'speck2f'\n"
    )
    result = run("check", "--config", "run.toml")
    assert result.exit_code == 0, result.output
    assert '"speck2f"' in result.stdout


def test_the_command_line_has_priority_and_the_copy_says_what_was_used(here):
    Path("run.toml").write_text("input-shape = '2,34,34'\nchip = 'speck2f'\n")
    result = run("convert", MODEL, "--chip", "speck2e", "-o", "a.speck", "--config", "run.toml")
    assert result.exit_code == 0, result.output
    assert speckflex.Program.load("a.speck").chip == "speck2e"
    written = tomllib.loads(Path("a.speck.toml").read_text(encoding="utf-8"))
    assert written["chip"] == "speck2e"
    assert written["input-shape"] == "2,34,34"
    assert written["model"] == str(MODEL)
    assert run("convert", MODEL, "--input-shape", "2,34,34", "-o", "b.speck").exit_code == 0
    assert not Path("b.speck.toml").exists(), "without --config no other file is written"


@pytest.mark.parametrize("words", [("--recipe", "paper-nmnist"), ()])
def test_a_file_has_priority_over_a_recipe(words, recordings, here):
    recipe = "" if words else "recipe = 'paper-nmnist'\n"
    quick = "t-max = 2\nwidth = 4\nthreads = 1\nsensor = [12, 12]\nout = 'a.pt'\n"
    Path("run.toml").write_text(f"{recipe}data = {str(recordings)!r}\n{quick}")
    result = run("train", *words, "--config", "run.toml", "--epochs", "1")
    assert result.exit_code == 0, result.output
    assert "paper-nmnist, with t_max 2 instead of 10, epochs 1 instead of 30" in result.stdout
    written = tomllib.loads(Path("a.pt.toml").read_text(encoding="utf-8"))
    assert written["score"] == RECIPES["paper-nmnist"].training.output == "mean"
    assert (written["recipe"], written["epochs"]) == ("paper-nmnist", 1)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("epoch = 3", ("epoch is no option of speckflex train", "did you mean epochs?")),
        ("zzz = 3", ("zzz is no option of speckflex train", "train --help")),
        ("config = 'b.toml'", ("config is no option",)),
        ("epochs = 1.5", ("--epochs", "1.5")),
        ("epochs = true", ("epochs is true", "must be a text, a number")),
        ("eight-bit = 'yes'", ("eight-bit is yes", "true or false")),
        ("out = 1979-05-27", ("out is 1979-05-27", "must be a text")),
        ("data = [[1]]", ("data is a list",)),
        ("t = 1\nt_max = 2", ("t_max is set twice",)),
        ("[train]\nepochs = 2", ("train is no option",)),
        ("epochs = ", ("is no TOML", "write lines such as")),
        ("epochs = " + "[" * 100_000, ("is no TOML",)),
        ("a = " + "9" * 5000, ("is no TOML",)),
        ("#" * 1_000_001, ("more than 1000000 bytes",)),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_a_file_with_a_fault_is_refused_by_name(text, parts, here):
    Path("run.toml").write_text(text)
    line = refused("train", "--data", "x", "--out", "a.pt", "--config", "run.toml")
    for part in ("run.toml", *parts) if "--epochs" not in parts else parts:
        assert part in line


def test_a_file_that_is_no_text_or_missing_is_refused(here):
    Path("run.toml").write_bytes(b"\xff\xfe")
    assert "is no TOML" in refused("fold", "--config", "run.toml")
    assert "does not exist" in refused("fold", "--config", "absent.toml")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_with_options_takes_a_file(name):
    command = main.get_command(click.Context(main), name)
    assert command is not None
    names = [parameter.name for parameter in command.params]
    assert names.count("config") == (1 if len(names) > 0 else 0)


texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = texts | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()


@settings(max_examples=40)
@given(value=scalars | st.lists(scalars))
def test_another_reader_of_toml_finds_what_was_written(value):
    assert tomllib.loads(as_toml({"some-key": value})) == {"some-key": value}


def test_messages_are_silent_in_python_and_shown_by_commands(tmp_path):
    logger = logging.getLogger("speckflex")
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    before = logger.level
    convert = ("convert", MODEL, "--input-shape", "2,34,34", "--out", tmp_path / "a.speck")
    quiet, loud = run(*convert), run("--log-level", "info", *convert)
    assert "INFO speckflex" not in quiet.stderr
    assert "INFO speckflex.conversion.convert: converted to 4 cores for speck2e" in loud.stderr
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    assert logger.level == before
