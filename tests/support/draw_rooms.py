"""Draw the data's path and the rooms' imports from the source, for docs/architecture.md.

    python tests/support/draw_rooms.py     # renew the pictures and the table of rooms

A test compares what is stored with what this module makes.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from rooms import (
    PACKAGE,
    find_imports,
    find_modules,
    reduce_graph,
    room_graph,
)

DOCS = PACKAGE.parent / "docs"
PAGE = DOCS / "architecture.md"
# Every room may import these; arrows to them would hide the others.
SHARED = ("_support", "errors", "version")
# The data's path: a function of each stage, in order, as module:function or module:Class.method.
STAGES = (
    "networks.files:load_network",
    "networks.fold:fold_batchnorm",
    "training.pipeline:finetune_network",
    "conversion.convert:convert",
    "program.program:Program.save",
    "boards:Board.load",
    "boards:Board.play",
    "recordings.compare:compare",
    "deployment.deploy:deploy",
)

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 208, 72, 34, 40, 16
PER_ROW = 3  # stages of the path
LETTERS, MOST_LINES = 34, 3  # of the text in a box
SWEEPS = 8  # through the rows, down and up, until they change no more
PATH_COLOUR, ROOM_COLOUR = "#dbe7ff", "#f4f4f4"


@dataclass(frozen=True)
class Stage:
    """A stage of the data's path, as the source has it."""

    room: str
    name: str
    signature: str


@dataclass(frozen=True)
class Box:
    """Where something lies in a picture: its left upper corner and its width."""

    x: float
    y: float
    width: float = WIDTH


def read_stage(entry: str, modules: dict[str, Path]) -> Stage:
    """Return a stage of `STAGES`, with what its function takes and returns.

    Raises:
        LookupError: if the source has no such function; then `STAGES` needs the new name.
    """
    module, _, name = entry.partition(":")
    node: ast.AST = ast.parse(modules[f"speckflex.{module}"].read_text(encoding="utf-8"))
    for part in name.split("."):
        named = [n for n in ast.iter_child_nodes(node) if getattr(n, "name", "") == part]
        if not named:
            raise LookupError(f"speckflex.{module} has no {name}: correct STAGES")
        node = named[0]
    assert isinstance(node, ast.FunctionDef)
    first = next(arg for arg in node.args.args if arg.arg != "self")
    types = [ast.unparse(part) for part in (first.annotation, node.returns) if part]
    return Stage(module.split(".")[0], name, " → ".join(types).replace(" → None", ""))


def draw_path(stages: list[Stage]) -> str:
    """Return the data's path as SVG: a box for each stage, with what it takes and returns."""
    parts = []
    for index, stage in enumerate(stages):
        row, column = divmod(index, PER_ROW)
        box = Box(MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y))
        parts += draw_box(
            box, stage.name, [f"in {stage.room}/", *shorten(stage.signature)], PATH_COLOUR
        )
        if column:
            middle = box.y + HEIGHT / 2
            parts.append(draw_arrow([(box.x - GAP_X, middle), (box.x, middle)]))
    rows = -(-len(stages) // PER_ROW)
    width = 2 * MARGIN + PER_ROW * (WIDTH + GAP_X) - GAP_X
    return draw_picture(width, 2 * MARGIN + rows * (HEIGHT + GAP_Y) - GAP_Y, parts)


def draw_rooms(graph: dict[str, set[str]], purposes: dict[str, str], on_path: set[str]) -> str:
    """Return the import graph as SVG: each room below all that import it.

    An arrow that follows from two others is left out.
    """
    shown = {room: targets - set(SHARED) for room, targets in graph.items() if room not in SHARED}
    lines = [
        [source, *(f"{source} {target} {row}" for row in between), target]
        for source, target, between in _edges(reduce_graph(shown), _depths(shown))
    ]
    rows = _rows(_depths(shown), lines)
    width = 2 * MARGIN + max(_row_width(row) for row in rows)
    boxes = _place(rows, width)
    parts = [draw_arrow(_points([boxes[name] for name in line])) for line in lines]
    for room in shown:
        colour = PATH_COLOUR if room in on_path else ROOM_COLOUR
        parts += draw_box(boxes[room], room, shorten(purposes[room]), colour)
    return draw_picture(width, 2 * MARGIN + len(rows) * (HEIGHT + GAP_Y) - GAP_Y, parts)


def _depths(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return each room's row: 0 where nothing imports it, else below all that do."""
    depths: dict[str, int] = {}
    for room in reversed(list(TopologicalSorter(graph).static_order())):
        depths[room] = 1 + max((depths[r] for r in graph if room in graph[r]), default=-1)
    return depths


def _edges(graph: dict[str, set[str]], depths: dict[str, int]) -> Iterator[tuple[str, str, range]]:
    """Yield the source, the target and the rows between them of every import."""
    for source in sorted(graph):
        for target in sorted(graph[source]):
            yield source, target, range(depths[source] + 1, depths[target])


def _rows(depths: dict[str, int], lines: list[list[str]]) -> list[list[str]]:
    """Return what lies in each row, rooms and passing lines, each near its neighbours."""
    rows: list[list[str]] = [[] for _ in range(max(depths.values()) + 1)]
    for room in sorted(depths):
        rows[depths[room]].append(room)
    for line in lines:
        for row, name in enumerate(line[1:-1], depths[line[0]] + 1):
            rows[row].append(name)
    pairs = [pair for line in lines for pair in pairwise(line)]
    above = {name: [a for a, b in pairs if b == name] for row in rows for name in row}
    below = {name: [b for a, b in pairs if a == name] for row in rows for name in row}
    for _ in range(SWEEPS):
        for order, neighbours in ((rows, above), (rows[::-1], below)):
            for row in order:
                _sort_row(row, neighbours, _middles(rows))
    return rows


def _sort_row(row: list[str], neighbours: dict[str, list[str]], middles: dict[str, float]) -> None:
    """Sort a row in place by the mean position of the neighbours in the row beside it."""
    means = {
        name: fmean(middles[n] for n in neighbours[name]) if neighbours[name] else middles[name]
        for name in row
    }
    row.sort(key=lambda name: (means[name], name))


def _middles(rows: list[list[str]]) -> dict[str, float]:
    """Return the middle of every room and passing line, from the middle of the picture."""
    return {name: box.x + box.width / 2 for name, box in _place(rows, 0).items()}


def _row_width(row: list[str]) -> float:
    return sum(_width(name) for name in row) + (len(row) - 1) * GAP_X


def _width(name: str) -> float:
    return 0 if " " in name else WIDTH


def _place(rows: list[list[str]], width: float) -> dict[str, Box]:
    boxes = {}
    for index, row in enumerate(rows):
        x = (width - _row_width(row)) / 2
        for name in row:
            boxes[name] = Box(x, MARGIN + index * (HEIGHT + GAP_Y), _width(name))
            x += _width(name) + GAP_X
    return boxes


def _points(boxes: list[Box]) -> list[tuple[float, float]]:
    """Return the points of a line from the first box's bottom to the last one's top."""
    points = []
    for index, box in enumerate(boxes):
        middle = box.x + box.width / 2
        if index:
            points.append((middle, box.y))
        if index < len(boxes) - 1:
            points.append((middle, box.y + HEIGHT))
    return points


def shorten(words: str) -> list[str]:
    """Return a text in at most three lines of a box."""
    lines = textwrap.wrap(words.replace("`", ""), LETTERS)
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], lines[2] + " ..."]


def draw_box(box: Box, title: str, lines: list[str], colour: str) -> list[str]:
    """Return a box with a title and lines of text."""
    middle = box.x + box.width / 2
    return [
        (
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{HEIGHT}" rx="6"'
            f' fill="{colour}" stroke="#667"/>'
        ),
        (
            f'<text x="{middle:g}" y="{box.y + 18:g}" font-weight="bold" font-size="13">'
            f"{escape(title)}</text>"
        ),
        *(
            f'<text x="{middle:g}" y="{box.y + 34 + 14 * index:g}">{escape(line)}</text>'
            for index, line in enumerate(lines)
        ),
    ]


def draw_arrow(points: list[tuple[float, float]]) -> str:
    """Return an arrow through points, bent where they do not lie below each other."""
    path = f"M{points[0][0]:g} {points[0][1]:g}"
    for (x, y), (next_x, next_y) in pairwise(points):
        half = (next_y - y) / 2
        path += f" C{x:g} {y + half:g} {next_x:g} {next_y - half:g} {next_x:g} {next_y:g}"
    return f'<path d="{path}" fill="none" stroke="#667" marker-end="url(#tip)"/>'


def draw_picture(width: float, height: float, parts: list[str]) -> str:
    """Return the parts as one SVG file on a white ground."""
    head = (
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
            ' font-family="sans-serif" font-size="11" text-anchor="middle">'
        ),
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7"'
            ' markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>'
        ),
        f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
    )
    return "\n".join((*head, *parts, "</svg>", ""))


def room_table(graph: dict[str, set[str]], purposes: dict[str, str]) -> str:
    """Return the rooms as a Markdown table: what each holds, and what it imports."""
    rows = ["| room | what it holds | imports |", "|---|---|---|"]
    for room in sorted(graph, key=lambda room: room.strip("_")):
        targets = ", ".join(sorted(graph[room] - set(SHARED)))
        rows.append(f"| `{room}` | {purposes[room]} | {targets} |")
    return "\n".join(rows)


def replace_part(page: str, name: str, text: str) -> str:
    """Return a page with new text between its two comments `<!-- name -->`, `<!-- end -->`."""
    pattern = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
    changed, count = re.subn(
        pattern, lambda match: match[1] + text + match[2], page, count=1, flags=re.DOTALL
    )
    if not count:
        raise LookupError(f"the page has no part <!-- {name} -->")
    return changed


def make_files() -> dict[Path, str]:
    """Return the text of every file that is made from the source."""
    modules = find_modules()
    graph = room_graph(find_imports(modules))
    purposes = {
        room: (ast.get_docstring(ast.parse(modules[f"speckflex.{room}"].read_text("utf-8"))) or "")
        .split("\n\n")[0]
        .replace("\n", " ")
        for room in graph
    }
    stages = [read_stage(entry, modules) for entry in STAGES]
    page = PAGE.read_text(encoding="utf-8")
    return {
        DOCS / "images" / "path.svg": draw_path(stages),
        DOCS / "images" / "rooms.svg": draw_rooms(graph, purposes, {s.room for s in stages}),
        PAGE: replace_part(page, "rooms", room_table(graph, purposes)),
    }


if __name__ == "__main__":
    for path, text in make_files().items():
        path.write_text(text, encoding="utf-8")
