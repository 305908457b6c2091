"""Names out of files do not steer a terminal, a page, a spreadsheet or a line of writing."""

import pytest

from speckflex._support.text import cell, printable, shown, shown_name
from speckflex.errors import ConversionError, FileFormatError, SpeckflexError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv1", "conv1"),
        ("größe µ 畳み込み", "größe µ 畳み込み"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\ud800", r"\ud800"),
    ],
)
def test_a_text_is_shown_without_characters_that_steer_a_display(name, expected):
    assert printable(name) == expected


@pytest.mark.parametrize("start", "=+-@")
def test_a_text_in_a_table_is_no_formula(start):
    assert cell(f'{start}HYPERLINK("x")') == f'\'{start}HYPERLINK("x")'


@pytest.mark.parametrize("value", [-1, -0.5, None, True, "conv-1", ""])
def test_other_values_in_a_table_stay(value):
    assert cell(value) is value or cell(value) == value


def test_a_long_name_is_shortened_in_a_message_and_refused_as_a_name():
    assert len(shown("x" * 10**6)) < 200
    with pytest.raises(TypeError, match="more than 2000 characters"):
        shown_name("x" * 10**6)


def test_a_message_is_one_line_of_printable_characters_with_its_end():
    message = str(FileFormatError(f"{'a' * 10**6}\n\x1b[2J: choose another file"))
    assert message.isprintable()
    assert len(message) == 600
    assert message.endswith(r"\n\x1b[2J: choose another file")


def test_a_list_of_problems_may_be_longer():
    problems = [f"layer {index}: {'x' * 200}" for index in range(12)]
    assert str(ConversionError(*problems)) == "; ".join(problems)


def test_a_short_message_stays_as_it_is():
    assert str(SpeckflexError("a.speck: no such file: check the path")) == (
        "a.speck: no such file: check the path"
    )
