"""A few hundred changed files at each door, and a few ended commands; `make fuzz` has thousands."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from fuzz_files import DOORS, run_door

SUPPORT = Path(__file__).parents[1] / "support"
# A case of these takes longer: HDF5 or a command reads it, or a report is made of it.
FEW = {"nir": 12, "command": 15, "onnx": 15, "recording": 25, "es": 25, "aedat": 25, "shard": 6}
FEW |= {"config": 10, "golden": 15, "sweep": 10}
# A command ends in one line whether it takes a file or not: its door counts no refusals.
COMMANDS = ("command", "config")


@pytest.mark.parametrize("door", DOORS)
def test_a_changed_file_is_read_or_refused_in_one_line(door, tmp_path):
    with warnings.catch_warnings():
        findings = run_door(DOORS[door], FEW.get(door, 60), 1, tmp_path)
    assert findings.wrong == {}
    assert findings.read + findings.refused == findings.cases
    assert findings.refused or door in COMMANDS


def test_a_door_that_lets_an_error_out_is_found(tmp_path):
    def let_out(path: Path) -> None:
        if path.read_bytes() != b"whole":
            raise KeyError

    door = type(DOORS["speck"])("leaky", ".x", lambda _: [b"whole"], let_out)
    (found,) = run_door(door, 20, 0, tmp_path).wrong
    assert found.startswith("traceback KeyError at ")


def test_nothing_is_lost_when_commands_are_ended():
    words = ["--rounds", "1", "--command", "convert", "--fault", "kill", "--fault", "full disk"]
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, str(SUPPORT / "faults.py"), *words],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| convert | 1 | 0 | 0 |") == 2
