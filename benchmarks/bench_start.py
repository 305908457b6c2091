"""Measure cold commands on the bundled network: each start is a new process.

    python benchmarks/bench_start.py [--starts 5] [--commands deploy,help] [--json FILE]

The kernels are compiled before, and the first start is not counted. Processor time holds all
threads and the end of the process; torch's threads wait actively for each other, so that it can
exceed the time that passes. `compare.py` measures two checkouts in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = Path(__file__).resolve().parents[1] / "speckflex" / "models" / "synthetic-digits.pt"
SHAPE = ("--input-shape", "2,34,34")
COMMANDS = {
    "help": ("--help",),
    "check": ("check", str(MODEL), *SHAPE),
    "deploy": (
        *("deploy", str(MODEL), *SHAPE, "--data", "synthetic-digits", "--samples", "10"),
        *("--out", "run"),
    ),
}


def start(words: tuple[str, ...], folder: str) -> tuple[float, float, float]:
    """Run a command once; return its processor seconds, its seconds and its peak in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("speckflex")), *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SPECKFLEX_CACHE": ""},
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"speckflex {words[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024


def measure(name: str, starts: int) -> dict[str, str | float]:
    """Return the medians of so many starts of a command, after one that is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        start(COMMANDS[name], folder)
        found = [start(COMMANDS[name], folder) for _ in range(starts)]
    processor, seconds, peak = (statistics.median(one) for one in zip(*found, strict=True))
    return {"command": name, "processor seconds": processor, "seconds": seconds, "MiB": peak}


def main() -> None:
    """Measure the commands and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--commands", default="help,check,deploy")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    rows = [measure(name, options.starts) for name in options.commands.split(",")]
    for row in rows:
        print("  ".join(f"{k} {v:.2f}" if isinstance(v, float) else v for k, v in row.items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
