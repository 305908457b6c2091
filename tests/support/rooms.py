"""The rooms of the package, which are its top-level folders and files, and their imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "speckflex"


@dataclass(frozen=True)
class Import:
    """One import of a module of the package, at any depth of the code.

    Attributes:
        kind: "load" when the file is loaded, "lazy" inside a function, "typing" for types alone.
    """

    source: str
    target: str
    line: int
    kind: str

    @property
    def rooms(self) -> tuple[str, str]:
        return room_of(self.source), room_of(self.target)


def room_of(module: str) -> str:
    """Return the room of a module: `twin` for `speckflex.twin.cores`, "" for `speckflex`."""
    return [*module.split("."), ""][1]


def find_modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Return the file of every module, by the module's full name."""
    return {
        ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in sorted(package.rglob("*.py"))
    }


def find_imports(modules: dict[str, Path]) -> list[Import]:
    """Return every import of one module of the package by another."""
    return [found for name, path in modules.items() for found in _imports_of(name, path, modules)]


def _imports_of(name: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = _inside(tree, lambda node: isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    typing = _inside(
        tree,
        lambda node: isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING",
    )
    for node in ast.walk(tree):
        kind = "typing" if node in typing else "lazy" if node in lazy else "load"
        for target in sorted({_module_of(full, modules) for full in imported_names(node)}):
            if target and target != name:
                yield Import(name, target, node.lineno, kind)


def _inside(tree: ast.Module, is_outer) -> set[ast.AST]:
    outer = (node for node in ast.walk(tree) if is_outer(node))
    return {inner for node in outer for inner in ast.walk(node)}


def imported_names(node: ast.AST) -> set[str]:
    """Return the full names that a node imports: a statement, or `import_module("a.b")`."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert not node.level, f"line {node.lineno}: write imports in full"
        return {f"{node.module}.{alias.name}" for alias in node.names}
    if isinstance(node, ast.Call):
        function = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        if function == "import_module":
            return {a.value for a in node.args if isinstance(a, ast.Constant)}
    return set()


def _module_of(name: str, modules: dict[str, Path]) -> str:
    """Return the module that a full name lies in, or "" where it is not of the package."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def room_graph(imports: list[Import]) -> dict[str, set[str]]:
    """Return which rooms each room imports; the package's own `__init__` is no room."""
    graph: dict[str, set[str]] = {}
    for source, target in (found.rooms for found in imports):
        if source:
            graph.setdefault(source, set())
            if target not in ("", source):
                graph[source].add(target)
                graph.setdefault(target, set())
    return graph


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """Return one circle of the graph, each importing the next, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def reduce_graph(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the graph without the imports that follow from others; it must have no circle."""

    def reached(room: str) -> set[str]:
        return graph[room].union(*map(reached, graph[room]))

    return {
        room: {t for t in targets if not any(t in reached(other) for other in targets)}
        for room, targets in graph.items()
    }
