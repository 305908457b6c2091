"""JSON lines: what is no object is refused by its line, what is no number is none."""

import json

import pytest

from speckflex._support.json_lines import read_json_lines
from speckflex.errors import FileFormatError


def written(folder, text):
    path = folder / "m.jsonl"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_blank_lines_are_passed_over_and_separators_in_a_text_are_not_ends(tmp_path):
    record = {"test": "a\u2028b", "loss": 0.5}
    text = json.dumps(record, ensure_ascii=False) + "\n\n" + '{"n": 3}\r\n'
    assert read_json_lines(written(tmp_path, text)) == [record, {"n": 3}]


def test_a_number_that_is_not_finite_is_none(tmp_path):
    text = f'{{"a": NaN, "b": -Infinity, "c": 1e999, "d": 1.5, "e": {"9" * 400}}}'
    expected = {"a": None, "b": None, "c": None, "d": 1.5, "e": None}
    assert read_json_lines(written(tmp_path, text)) == [expected]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no line"),
        ('{"a": 1}\n[1]\n', "line 2 holds list, no object"),
        ("{", "line 1 is no JSON"),
        ("[" * 200_000, "line 1 is no JSON"),
        (b"\xff\xfe", "line 1 is no JSON"),
    ],
)
def test_what_is_no_file_of_records_is_refused_in_one_line(tmp_path, text, words):
    with pytest.raises(FileFormatError, match=words) as refused:
        read_json_lines(written(tmp_path, text))
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 400
