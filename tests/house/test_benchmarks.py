"""The scripts in benchmarks/: all of them load, and one of them compares two checkouts."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("*.py"))
HELP = """
import contextlib, io, runpy, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    sys.argv = [name, "--help"]
    try:
        with contextlib.redirect_stdout(io.StringIO()) as text:
            runpy.run_path(f"{sys.path[0]}/{name}", run_name="__main__")
    except SystemExit as end:
        assert not end.code, name
    assert "--json" in text.getvalue() or name == "compare.py", name
"""
# a checkout whose benchmark takes as long as its package says
PACKAGE = "SECONDS = {}\n"
BENCHMARK = """
import argparse, json, pathlib
from speckflex import SECONDS
parser = argparse.ArgumentParser()
parser.add_argument("--json", type=pathlib.Path)
parser.add_argument("--factor", type=float)
options = parser.parse_args()
rows = [{"layer": "quiet", "channels": 16, "ms": SECONDS * options.factor}]
options.json.write_text(json.dumps(rows))
"""


def run(*arguments):
    return subprocess.run(  # noqa: S603 - our own Python and our own scripts
        [sys.executable, *arguments], capture_output=True, text=True, check=False
    )


def make_checkout(folder, seconds):
    for name in ("speckflex", "benchmarks"):
        (folder / name).mkdir(parents=True)
    (folder / "speckflex" / "__init__.py").write_text(PACKAGE.format(seconds))
    (folder / "benchmarks" / "bench.py").write_text(BENCHMARK)
    compare = (BENCHMARKS / "compare.py").read_text(encoding="utf-8")
    (folder / "benchmarks" / "compare.py").write_text(compare)
    return folder


@pytest.fixture
def checkouts(tmp_path):
    """Two checkouts; the new one is half as fast."""
    return make_checkout(tmp_path / "old", 2.0), make_checkout(tmp_path / "new", 4.0)


def test_every_script_explains_its_options():
    done = run("-W", "error", "-c", HELP, str(BENCHMARKS), *SCRIPTS)
    assert done.returncode == 0, done.stderr


def test_the_ratio_of_two_checkouts_is_printed_with_the_name_of_the_row(checkouts):
    old, new = checkouts
    compare = str(new / "benchmarks" / "compare.py")
    done = run(compare, "--rounds", "2", str(old), "bench.py", "--factor", "3")
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.endswith("/ ms")]
    numbers, name = row.split()[:5], " ".join(row.split()[5:])
    assert [float(number) for number in numbers] == [6, 12, 2, 2, 2]
    assert name == "layer quiet, channels 16 / ms"


def test_a_folder_that_is_no_checkout_is_refused(checkouts, tmp_path):
    compare = str(checkouts[1] / "benchmarks" / "compare.py")
    done = run(compare, str(tmp_path), "bench.py")
    assert done.returncode == 1
    assert "there is no benchmarks/bench.py" in done.stderr
