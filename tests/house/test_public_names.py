"""The public names stay what they are, whatever was imported before."""

import subprocess
import sys

import pytest

import speckflex

PROGRAM = """
import importlib, types
for name in ("recordings.compare", "conversion.convert", "networks.fold", "program", "boards"):
    importlib.import_module(f"speckflex.{name}")
import speckflex
from speckflex import compare, convert
for name in speckflex.__all__:
    assert not isinstance(getattr(speckflex, name), types.ModuleType), name
assert callable(compare) and callable(convert)
"""


def test_importing_modules_first_leaves_the_functions_public():
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", speckflex.__all__)
def test_every_public_name_is_there_and_listed(name: str):
    assert getattr(speckflex, name) is not None
    assert name in dir(speckflex)


def test_an_unknown_name_is_named():
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        _ = speckflex.absent
