"""Runs sinabs' own tests of its backend and of specksim on the virtual devkits.

The tests come from sinabs' source distribution on the package index, of the version that is
installed here. They run unchanged, and this repository keeps no copy of them.

    python tests/support/sinabs_suite.py [--sdist sinabs-3.1.3.tar.gz] [pytest arguments]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

# The folders of sinabs' tests that use samna: its backend for the chips, and specksim.
FOLDERS = (
    "tests/test_dynapcnn",
    "tests/test_dynapcnnlayer",
    "tests/test_dynapcnnnetwork",
    "tests/test_graph_extractor",
    "tests/test_specksim",
)
# It calls a function of sinabs 3.1.3 with an argument that the function does not have.
BROKEN_IN_SINABS = "tests/test_dynapcnn/test_visualizer.py::test_jit_compilation"
DEVICES = ("Speck2eTestBoard", "Speck2eDevKit", "Speck2fModuleDevKit", "Speck2fDevKit")
RUN = """
import sys
import speckflex.virtual
speckflex.virtual.install({devices!r})
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def fetch_sdist(folder: Path) -> Path:
    """Download the source distribution of the installed sinabs and return its path."""
    wanted = f"sinabs=={version('sinabs')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "sinabs"]
    subprocess.run([*pip, wanted, "--dest", str(folder)], check=True)  # noqa: S603 - our own pip
    return next(folder.glob("sinabs-*.tar.gz"))


def unpack_tests(sdist: Path, folder: Path) -> Path:
    """Unpack only the tests, so that they use the installed sinabs; return their parent."""
    with tarfile.open(sdist) as archive:
        members = [item for item in archive if "/tests/" in item.name or item.name == "tests"]
        archive.extractall(folder, members=members, filter="data")
    return next(folder.glob("sinabs-*"))


def run_suite(sdist: Path | None, arguments: list[str]) -> int:
    """Run the tests and return pytest's exit code."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root = unpack_tests(sdist or fetch_sdist(folder), folder / "unpacked")
        code = RUN.format(devices=DEVICES)
        options = ["-q", "-rs", "--deselect", BROKEN_IN_SINABS]
        command = [sys.executable, "-c", code, *options, *(arguments or FOLDERS)]
        return subprocess.run(command, cwd=root, check=False).returncode  # noqa: S603 - our own Python


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sdist", type=Path, help="use this file and download nothing")
    options, arguments = parser.parse_known_args()
    return run_suite(options.sdist, arguments)


if __name__ == "__main__":
    sys.exit(main())
