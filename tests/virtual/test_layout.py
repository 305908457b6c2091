"""The stand-in's documentation lists all of its modules, each above those that it imports."""

import re

from rooms import find_imports, find_modules, room_of

from speckflex import virtual

MODULES = find_modules()


def listed_modules():
    """Return the names in the documentation's list of modules, from top to bottom."""
    return re.findall(r"^    (\w+)  +\w", virtual.__doc__ or "", re.MULTILINE)


def test_every_module_is_listed():
    names = {
        name.rpartition(".")[2].removeprefix("_") for name in MODULES if room_of(name) == "virtual"
    } - {"_main__"}
    assert set(listed_modules()) == names - {"virtual"}


def test_a_module_imports_only_modules_below_it():
    line_of = {name: line for line, name in enumerate(listed_modules())}
    place = {
        name: line_of[name.rpartition(".")[2].removeprefix("_")]
        for name in MODULES
        if name.startswith("speckflex.virtual.") and "__main__" not in name
    }
    climbing = [
        found
        for found in find_imports(MODULES)
        if {found.source, found.target} <= place.keys()
        and place[found.source] > place[found.target]
    ]
    assert climbing == []
