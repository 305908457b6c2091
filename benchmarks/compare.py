"""Run one benchmark in two checkouts, in turns, and print what changed.

    python benchmarks/compare.py OLD bench_kernel.py --repeats 5
    python benchmarks/compare.py --rounds 9 OLD bench_twin.py --parts r3c1

OLD is the folder of another checkout; the new one is the checkout that holds this script. Each
round runs the script of OLD and then that of the new checkout, with the same Python and the same
arguments; the first round fills the caches and is not counted. A figure is a number that the
script writes with `--json`; numbers and texts that are equal in all runs name the rows. The
processor time of the whole run is always a figure, also of scripts without `--json`.

For each figure: the medians of both checkouts, the ratio of the medians (new divided by old), and
the lowest and highest ratio of a single round. Of a time, less is better; of a rate, more is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Step = str | int
Figures = dict[tuple[Step, ...], Any]  # by the keys and indices that lead to a value

NEW = Path(__file__).resolve().parents[1]
WHOLE_RUN = ("processor seconds of the whole run",)


def check_checkout(checkout: Path, script: str) -> None:
    """Exit unless the checkout has the script and its own package is the one imported."""
    if not (checkout / "benchmarks" / script).is_file():
        sys.exit(f"{checkout}: there is no benchmarks/{script}; give the folder of a checkout")
    command = [sys.executable, "-c", "import speckflex; print(speckflex.__file__)"]
    found = subprocess.run(
        command, env=environment(checkout), capture_output=True, text=True, check=True, cwd="/"
    ).stdout.strip()
    if not Path(found).is_relative_to(checkout):
        sys.exit(f"{checkout}: Python imports speckflex from {found} instead")


def environment(checkout: Path) -> dict[str, str]:
    """Return the environment in which Python imports a checkout's package."""
    return {**os.environ, "PYTHONPATH": str(checkout)}


def run(checkout: Path, script: str, arguments: Sequence[str]) -> Figures:
    """Run the script of one checkout and return its figures."""
    path = checkout / "benchmarks" / script
    writes_json = "--json" in path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "figures.json"
        command = [sys.executable, path, *arguments, *(["--json", target] if writes_json else [])]
        before = processor_seconds()
        done = subprocess.run(
            command, env=environment(checkout), capture_output=True, text=True, check=False
        )
        spent = processor_seconds() - before
        if done.returncode:
            sys.exit(f"{path} failed with exit code {done.returncode}:\n{done.stderr}")
        written = json.loads(target.read_text(encoding="utf-8")) if writes_json else {}
    return {WHOLE_RUN: spent, **dict(values_in(written))}


def processor_seconds() -> float:
    """Return the processor time of all processes that this one has run so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def values_in(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Yield every number and text in nested dicts and lists, with the way to it."""
    if isinstance(value, dict):
        steps: Any = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    else:
        yield path, value
        return
    for step, item in steps:
        yield from values_in(item, (*path, step))


def rows(old: list[Figures], new: list[Figures]) -> Iterator[tuple[str, list[float], list[float]]]:
    """Yield the name of each figure and its values in the old and the new runs."""
    runs = [*old, *new]
    common = [path for path in runs[0] if all(path in figures for figures in runs)]
    constant = {
        path: runs[0][path]
        for path in common
        if all(figures[path] == runs[0][path] for figures in runs)
    }
    for path in common:
        if path not in constant and isinstance(runs[0][path], (int, float)):
            values = ([float(figures[path]) for figures in side] for side in (old, new))
            yield name_of(path, constant), *values


def name_of(path: tuple[Step, ...], constant: Figures) -> str:
    """Return a figure's name; an item of a list is named by its constant texts and integers."""
    parts = []
    for depth, step in enumerate(path):
        own = path[: depth + 1]
        names = [
            f"{key[-1]} {value}"
            for key, value in constant.items()
            if key[:-1] == own and isinstance(value, (str, int))
        ]
        parts.append(", ".join(names) if isinstance(step, int) and names else str(step))
    return " / ".join(parts)


def print_table(old: list[Figures], new: list[Figures]) -> None:
    """Print one line for each figure."""
    print(f"{'old':>12} {'new':>12} {'new/old':>8} {'lowest':>7} {'highest':>7}  figure")
    for name, before, after in rows(old, new):
        if min(before) <= 0:
            continue
        ratio = statistics.median(after) / statistics.median(before)
        singles = [b / a for a, b in zip(before, after, strict=True)]
        print(
            f"{statistics.median(before):12.5g} {statistics.median(after):12.5g} {ratio:8.3f}"
            f" {min(singles):7.3f} {max(singles):7.3f}  {name}"
        )


def main() -> None:
    """Run both checkouts in turns and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs of each checkout (default: 5)")
    parser.add_argument("old", type=Path, help="the folder of the other checkout")
    parser.add_argument("script", help="of benchmarks/, such as bench_kernel.py")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the script")
    options = parser.parse_args()
    checkouts = (options.old.resolve(), NEW)
    for checkout in checkouts:
        check_checkout(checkout, options.script)
    runs: tuple[list[Figures], list[Figures]] = ([], [])
    for index in range(options.rounds + 1):
        for checkout, figures in zip(checkouts, runs, strict=True):
            figures.append(run(checkout, options.script, options.arguments))
        print(f"round {index} of {options.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    print(f"{options.script} {' '.join(options.arguments)}, {options.rounds} rounds")
    print(f"old: {checkouts[0]}\nnew: {checkouts[1]}")
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        print("other work uses the processors: wall times and rates of these runs mean little")
    print_table(runs[0][1:], runs[1][1:])


if __name__ == "__main__":
    main()
