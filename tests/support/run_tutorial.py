"""Run docs/tutorial.ipynb and keep what it shows: `make tutorial`.

Tests run the same notebook and compare nothing but errors: figures of floats differ a little
between processors.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "tutorial.ipynb"


def run_notebook(folder: Path) -> nbformat.NotebookNode:
    """Return the notebook after a run in a folder.

    Raises:
        CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    client.execute()
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        done = run_notebook(Path(folder))
    done.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    }
    nbformat.write(done, NOTEBOOK)
