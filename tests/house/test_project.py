"""The project around the package: installation, hooks and notes of changes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTES = sorted((ROOT / "changes").glob("*.*.md"))


@pytest.mark.parametrize("checkout", ["speckflex", "elsewhere"])
def test_the_package_is_found_from_the_folder_above_a_checkout(tmp_path, checkout):
    (tmp_path / checkout).symlink_to(ROOT, target_is_directory=True)
    done = subprocess.run(
        [sys.executable, "-c", "import speckflex; print(speckflex.Program.__name__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    remedy = "the checkout's folder was taken for the package: install again with make"
    assert done.stdout.strip() == "Program", f"{remedy}\n{done.stderr}"


def test_hooks_run_what_make_check_runs():
    rule = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    checks = re.findall(r"\t\$\(BIN\)/(\w+(?: format| check)?)", rule[1])
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert checks == re.findall(r"entry: \.venv/bin/(\w+(?: format| check)?)", hooks)


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.name)
def test_a_note_of_a_change_has_a_kind_and_is_short(note):
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    kinds = re.findall(r'^\[\[tool.towncrier.type\]\]\ndirectory = "(\w+)"', settings, re.MULTILINE)
    assert note.suffixes[0].removeprefix(".") in kinds
    text = note.read_text(encoding="utf-8")
    assert text.endswith(".\n")
    assert len(text) < 500
