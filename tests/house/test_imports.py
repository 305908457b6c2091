"""The import rules of the package, read from its source and from a fresh interpreter."""

import ast
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from rooms import (
    PACKAGE,
    find_circle,
    find_imports,
    find_modules,
    imported_names,
    room_graph,
    room_of,
)

MODULES = find_modules()
IMPORTS = find_imports(MODULES)
GRAPH = room_graph(IMPORTS)

# Where each guarded library may be imported, even inside a function or for types alone.
ALLOWED = {
    "samna": ("samna_access.py",),
    "samnagui": ("samna_access.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "numba": ("kernels/",),
}
MOST_FLAT_MODULES = 8
# A machine that only plays a `.speck` file has no torch.
TORCH_FREE_ROOMS = (
    "analysis",
    "boards",
    "chips",
    "data",
    "events",
    "fitting",
    "program",
    "recordings",
    "report",
    "twin",
    "virtual",
)


def run_fresh(code: str) -> str:
    """Return what a fresh interpreter prints when it runs `code`."""
    return subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def libraries_of(path: Path) -> set[str]:
    """Return the top-level names of all that a file imports, at any depth of its code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {name.split(".")[0] for node in ast.walk(tree) for name in imported_names(node)}


def test_rooms_import_each_other_without_a_circle():
    circle = find_circle(GRAPH)
    steps = set(pairwise(circle))
    assert circle == [], [found for found in IMPORTS if found.rooms in steps]


def test_nothing_in_the_package_imports_the_public_names_from_the_top():
    assert [found for found in IMPORTS if not room_of(found.target)] == []


def test_modules_import_each_other_without_a_circle_when_they_are_loaded():
    graph = {name: set() for name in MODULES}
    for found in IMPORTS:
        if found.kind == "load":
            graph[found.source].add(found.target)
    assert find_circle(graph) == []


def test_a_module_with_an_underscore_is_imported_in_its_own_room_alone():
    private = [
        found
        for found in IMPORTS
        if found.target.count(".") > 1 and found.target.rpartition(".")[2].startswith("_")
    ]
    assert private
    assert [found for found in private if room_of(found.source) != room_of(found.target)] == []


def test_few_modules_lie_flat():
    flat = sorted(path.name for path in PACKAGE.glob("*.py"))
    assert len(flat) <= MOST_FLAT_MODULES, flat


def test_every_room_says_what_it_holds():
    for room in sorted(GRAPH):
        tree = ast.parse(MODULES[f"speckflex.{room}"].read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), room


@pytest.mark.parametrize("library", ALLOWED)
def test_a_guarded_library_is_imported_only_where_it_may_be(library):
    users = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES.values()
        if library in libraries_of(path)
    ]
    assert [path for path in users if not path.startswith(ALLOWED[library])] == []


def test_importing_the_package_loads_no_heavy_library():
    code = (
        "import sys, json, speckflex;"
        "print(json.dumps([m for m in ('torch','numba','samna','sinabs','tonic','numpy')"
        " if m in sys.modules]))"
    )
    assert json.loads(run_fresh(code)) == []


def test_importing_the_package_takes_less_than_a_third_of_a_second():
    code = (
        # of the processor: a busy machine takes longer
        "import time; start = time.process_time(); import speckflex;"
        "print(time.process_time() - start)"
    )
    assert min(float(run_fresh(code)) for _ in range(3)) < 0.3


@pytest.mark.parametrize("room", TORCH_FREE_ROOMS)
def test_a_room_that_a_program_needs_does_not_load_torch(room):
    names = [name for name in MODULES if room_of(name) == room and "__main__" not in name]
    code = f"import sys, {', '.join(names)}; print('torch' in sys.modules)"
    assert run_fresh(code).strip() == "False"


def test_help_answers_without_torch_numba_or_a_network():
    code = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise AssertionError('network access')\n"
        "socket.socket.connect = refuse\n"
        "from click.testing import CliRunner\n"
        "from speckflex.cli import main\n"
        "result = CliRunner().invoke(main, ['--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        "print([m for m in ('torch', 'numba', 'sinabs', 'rich') if m in sys.modules])\n"
    )
    assert run_fresh(code).strip() == "[]"


def test_no_module_opens_a_connection_when_the_whole_package_is_imported():
    code = (
        "import socket, importlib, pkgutil, speckflex\n"
        "def refuse(*a, **k): raise AssertionError('network access')\n"
        "socket.socket.connect = refuse\n"
        "for m in pkgutil.walk_packages(speckflex.__path__, 'speckflex.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "print('ok')\n"
    )
    assert run_fresh(code).strip() == "ok"
