"""The import rules of the package, read from its source and from a fresh interpreter."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "speckflex"
MODULES = sorted(PACKAGE.rglob("*.py"))
ALLOWED = {
    "samna": ("samna_access.py",),
    "samnagui": ("samna_access.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "numba": ("kernels/",),
}
TORCH_FREE = (
    "program.program",
    "recordings.compare",
    "report",
    "boards.twin",
    "fitting.check",
    "data",
    "events.frames",
)


def imported_names(path: Path) -> set[str]:
    """Return every module a file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def run_fresh(code: str) -> str:
    """Return what a fresh interpreter prints when it runs `code`."""
    return subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("library", ALLOWED)
def test_a_guarded_library_is_imported_only_where_it_may_be(library):
    offenders = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if any(name.split(".")[0] == library for name in imported_names(path))
    ]
    assert [p for p in offenders if not p.startswith(ALLOWED[library])] == []


def test_importing_the_package_loads_no_heavy_library():
    code = (
        "import sys, json, speckflex;"
        "print(json.dumps([m for m in ('torch','numba','samna','sinabs','tonic','numpy')"
        " if m in sys.modules]))"
    )
    assert json.loads(run_fresh(code)) == []


def test_importing_the_package_takes_less_than_a_third_of_a_second():
    code = (
        "import time; start = time.perf_counter(); import speckflex;"
        "print(time.perf_counter() - start)"
    )
    assert min(float(run_fresh(code)) for _ in range(3)) < 0.3


@pytest.mark.parametrize("module", TORCH_FREE)
def test_a_torch_free_module_does_not_load_torch(module):
    code = f"import sys, speckflex.{module}; print('torch' in sys.modules)"
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


def test_modules_import_each_other_without_cycles():
    names = {
        ".".join(("speckflex", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in MODULES
    }
    edges = {
        name: top_level_imports(path, names) & names.keys() - {name} for name, path in names.items()
    }
    assert find_cycle(edges) == []


def top_level_imports(path: Path, modules: dict[str, Path]) -> set[str]:
    """Return what a file imports when it is loaded: neither in functions nor for types alone."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            children = {f"{node.module}.{alias.name}" for alias in node.names}
            # a module taken from its package depends on that module, not on the package's names
            found |= children if children <= modules.keys() else children | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def find_cycle(edges: dict[str, set[str]]) -> list[str]:
    """Return one cycle of the graph, or an empty list."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(edges[name]):
            cycle = visit(target, [*path, name])
            if cycle:
                return cycle
        done.add(name)
        return []

    return next((cycle for name in sorted(edges) if (cycle := visit(name, []))), [])
