"""The typed settings of boards are those that the boards take."""

from dataclasses import fields

import pytest

from speckflex.boards.chip.opening import SPECK2E_BOARDS
from speckflex.boards.chip.settings import ChipSettings
from speckflex.boards.family import find_families
from speckflex.boards.options import BoardOptions, ChipOptions, TwinOptions, VirtualOptions
from speckflex.boards.software import TWIN
from speckflex.boards.virtual import VIRTUAL


@pytest.mark.parametrize(
    ("options", "family"),
    [(TwinOptions, TWIN), (ChipOptions, SPECK2E_BOARDS), (VirtualOptions, VIRTUAL)],
)
def test_a_type_checker_knows_exactly_the_settings_of_a_family(options, family):
    assert set(options.__annotations__) == set(family.settings)


def test_any_board_takes_the_settings_of_all_families():
    known = {name for family in find_families() for name in family.settings}
    assert known <= set(BoardOptions.__annotations__)


def test_the_types_of_a_chips_settings_are_those_of_its_record():
    typed = {name: hint.__forward_arg__ for name, hint in ChipOptions.__annotations__.items()}
    for field in fields(ChipSettings):
        if field.name != "probe":  # the label of a file there, the file here
            assert typed[field.name] == field.type, field.name
