"""The tutorial notebook runs from its first cell to its last, and the file shows its pictures."""

import json

import pytest
from documentation import DOCS

NOTEBOOK = DOCS / "tutorial.ipynb"


def kinds_of(notebook):
    """Return the kinds of what the cells show."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error"]
    return [kind for output in outputs for kind in output.get("data", {})]


@pytest.mark.filterwarnings("default")
def test_the_notebook_runs_and_shows_tables_pictures_and_the_files_of_a_report(tmp_path):
    pytest.importorskip("nbclient", reason="pip install 'speckflex[dev]'")
    from run_tutorial import run_notebook

    kinds = kinds_of(run_notebook(tmp_path))
    assert kinds.count("image/png") == 3
    assert kinds.count("text/html") == 5
    assert (tmp_path / "run" / "report.html").is_file()


def test_the_file_holds_what_a_run_showed():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert kinds_of(notebook).count("image/png") == 3
    assert all(cell["outputs"] for cell in notebook["cells"] if _shows(cell))


def _shows(cell):
    """Return whether the last line of a cell is a value, not a statement."""
    last = "".join(cell["source"]).splitlines()[-1]
    return cell["cell_type"] == "code" and not last.startswith(("import", "from"))
