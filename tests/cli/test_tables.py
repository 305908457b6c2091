"""Tables that fit a terminal, and colour for what is wrong."""

import re

import click
import pytest
from click.testing import CliRunner

from speckflex._support.columns import side_by_side
from speckflex.cli import emphasis, main
from speckflex.cli.emphasis import echo_report, emphasised
from speckflex.cli.tables import echo_table

ROWS = [
    ("conv1", "conv 3x3 stride 2", 7, "256 of 16384", "8192 of 16384", 1_234_567_890, "0 1 2 3 4"),
    ("linear4", "linear", 4, "4096 of 32768", "10 of 32768", 12, "3 4"),
]
COLUMNS = ("layer", "type", "core", "kernel words", "neuron words", "spikes", "fits cores")


def test_no_line_of_a_table_is_longer_than_80_and_no_number_is_broken(capsys):
    echo_table(COLUMNS, ROWS, title="on speck2e")
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for number in ("8192 of 16384", "1 234 567 890", "4096 of 32768", "0 1 2 3 4"):
        assert number in printed
    # each part names its rows
    assert printed.count("linear4") > 1


def test_a_name_with_marks_of_rich_is_shown_as_it_is(capsys):
    echo_table(("layer",), [("[/b] [red]conv :smile:",)])
    assert "[/b] [red]conv :smile:" in capsys.readouterr().out


def test_a_line_with_characters_that_steer_a_terminal_shows_them_as_escapes(capsys):
    echo_report("a\x1b]0;owned\x07.pt does not fit \u202e")
    assert capsys.readouterr().out == "a\\x1b]0;owned\\x07.pt does not fit \\u202e\n"


def test_a_long_text_goes_on_in_a_second_line_between_words(capsys):
    words = "every spike of this board is drawn at random and then " * 3
    echo_table(("name", "what it is"), [("twin", words.strip())])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.split() == [
        "name",
        "what",
        "it",
        "is",
        *re.findall("─+", printed),
        "twin",
        *words.split(),
    ]


@pytest.mark.parametrize("widths", [[5], [5, 20, 20, 20, 20, 20], [40, 50, 3], [9] * 30])
def test_every_column_stands_once_in_a_group_that_fits(widths):
    groups = side_by_side(widths, 80)
    columns = [column for group in groups for column in group[1:]]
    assert columns == list(range(1, len(widths)))
    assert all(group[0] == 0 for group in groups)
    for group in groups:
        total = sum(widths[column] for column in group) + 2 * (len(group) - 1)
        assert total <= 80 or len(group) == 2


@pytest.mark.parametrize(
    ("line", "colour"),
    [
        ("conv3  29.4 M  overloaded", "red"),
        ("does not fit speck2e: two errors", "red"),
        ("missed: accuracy 0.5 is below 0.9", "red"),
        ("A bar is missed: accuracy 0.5 is below 0.9.", "red"),
        ("Layers conv1, conv2 never spike on the twin, so nothing can be said.", "red"),
        ("b.json against a.json: 2 of 9 judged figures became worse, 1 better.", "red"),
        ("b.json against a.json: 0 of 9 judged figures became worse, 1 better.", ""),
        ("accuracy of the twin   90.0 %  80.0 %               worse", "red"),
        ("warning: conv1: holds up", "yellow"),
        ("conv2  5 M  held up", "yellow"),
        ("conv1  0.3 M  keeps up", ""),
        ("fits speck2e", ""),
        ("the permissions are missing", ""),
    ],
)
def test_what_is_wrong_has_a_colour(line, colour):
    styled = emphasised(line)
    assert click.unstyle(styled) == line
    codes = {"red": "\x1b[31m", "yellow": "\x1b[33m"}
    assert [name for name, code in codes.items() if code in styled] == [colour] * bool(colour)


def test_colour_is_for_terminals_that_want_it(monkeypatch, capsys):
    echo_report("warning: piped")
    assert capsys.readouterr().out == "warning: piped\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert emphasis.wants_colour() is False
    monkeypatch.delenv("NO_COLOR")
    assert emphasis.wants_colour() is None


def test_a_wrong_cell_of_a_table_is_red_in_a_terminal_that_wants_colour(monkeypatch, capsys):
    def shown() -> str:
        echo_table(("layer", ""), [("[red]a", "too large"), ("b", "")], wrong={"too large"})
        return capsys.readouterr().out

    assert "\x1b" not in shown()
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes a pipe for a terminal
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1;31mtoo large\x1b[0m" in shown()
    assert "[red]a" in shown()  # a name is no markup
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in shown()


@pytest.mark.parametrize("arguments", [["deploy", "--colour"], ["--colour"], ["boards", "x"]])
def test_misuse_is_red_in_a_terminal_and_plain_elsewhere(arguments, monkeypatch):
    plain = CliRunner().invoke(main, arguments)
    assert plain.exit_code == 2
    assert plain.stderr.startswith("Usage: ")
    assert "\nError: " in plain.stderr
    assert "\x1b" not in plain.stderr
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = CliRunner().invoke(main, arguments, color=True)
    assert "\x1b[31m\x1b[1mError:\x1b[0m" in coloured.stderr
    assert click.unstyle(coloured.stderr) == plain.stderr
    monkeypatch.setenv("NO_COLOR", "1")
    assert CliRunner().invoke(main, arguments, color=True).stderr == plain.stderr


def test_prose_is_broken_between_words_in_a_terminal_alone(monkeypatch, capsys):
    line = "word " * 40 + "end"
    echo_report(line)
    assert capsys.readouterr().out == line + "\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(emphasis, "line_width", lambda: 60)
    echo_report(line)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines) == line
