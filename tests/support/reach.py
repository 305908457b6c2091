"""Count the files of the package that a change must read or edit.

    python tests/support/reach.py [CHECKOUT ...]     # this checkout without an argument

The rule: for each change take what there is already of the same kind, and count the files whose
code names it. A third chip is measured by Speck2e and Speck2f, a neuron by the constants of the
integrate-and-fire neuron, and so on. Docstrings and comments do not count; templates do.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Change:
    """A change, and what there is already of the same kind.

    Attributes:
        named: matches a name or a string of the code that belongs to the existing thing.
        module: a module that holds the existing thing; who imports from it counts too.
    """

    title: str
    named: str
    module: str = "-"


CHANGES = (
    Change("a third chip", r"speck2[ef]", module=r"(chips\.)?speck"),
    Change("a leaky neuron on the twin", r"\b(threshold_low|return_to_zero)\b"),
    Change("an event format", r"aedat4", module=r"data\.(camera|formats\._?aedat4)"),
    Change("a section of the report", r"ensemble|\bChance\b"),
    Change("a board over a network", r"\breplay"),
)


def find_files(change: Change, package: Path) -> list[str]:
    """Return the files that name what the change resembles."""
    named, module = re.compile(change.named, re.IGNORECASE), re.compile(change.module)
    found = []
    for path in sorted(package.rglob("*")):
        if path.suffix == ".py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            imports = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            hit = any(map(named.search, code_words(tree))) or any(
                module.fullmatch((name or "").removeprefix("speckflex.")) for name in imports
            )
        elif path.suffix in {".html", ".js"}:
            hit = named.search(path.read_text(encoding="utf-8"))
        else:
            hit = False
        if hit or named.search(path.stem):
            found.append(path.relative_to(package).as_posix())
    return [name for name in found if Path(name).suffix in {".py", ".html", ".js"}]


def code_words(tree: ast.Module) -> Iterator[str]:
    """Yield the names and strings of the code, docstrings left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and node not in docstrings:
                yield node.value
        else:
            fields = ("id", "attr", "arg", "name", "module")
            yield from (word for f in fields if isinstance(word := getattr(node, f, None), str))


def table(checkouts: list[Path]) -> str:
    """Return the counts as a Markdown table, a column for each checkout."""
    rows = []
    for change in CHANGES:
        counts = [str(len(find_files(change, root / "speckflex"))) for root in checkouts]
        rows.append(f"| {change.title} | {' | '.join(counts)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    roots = [Path(argument) for argument in sys.argv[1:]] or [ROOT]
    print(table(roots))  # noqa: T201
    for change in CHANGES:
        for root in roots:
            names = find_files(change, root / "speckflex")
            print(f"\n{change.title}, {root}: {len(names)}", *names, sep="\n  ")  # noqa: T201
