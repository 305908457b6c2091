"""The page on the architecture says what the source says."""

import re

import pytest
from draw_rooms import PAGE, make_files
from rooms import PACKAGE

ROOT = PACKAGE.parent
PATHS = sorted(
    set(
        re.findall(
            r"`((?:speckflex|tests|docs|hw_tests)/[a-z0-9_/.]+)`", PAGE.read_text(encoding="utf-8")
        )
    )
)


def test_pictures_and_tables_are_up_to_date():
    for path, text in make_files().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: make docs-picture"


@pytest.mark.parametrize("path", PATHS)
def test_every_file_that_the_page_names_is_there(path):
    assert (ROOT / path).exists()
