"""The tables of the GPU run: paired differences by hand, and the saved run."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "nmnist"


@pytest.fixture(scope="module")
def gpu_tables():
    """The module of the example."""
    spec = importlib.util.spec_from_file_location("gpu_tables", FOLDER / "gpu_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_seeds_are_averaged_for_each_recording(gpu_tables):
    """Differences 1, 0.5, 0 and -0.5: mean 0.25, standard error 0.6455 / 2."""
    first = np.array([0, 0, 1, 1]), np.array([1, 1, 1, 1])
    second = np.array([0, 1, 1, 1]), np.array([1, 1, 1, 0])
    line = gpu_tables.gain_line("won", [first, second])
    assert line == ["- won: +25.0 (-38.3 to +88.3, 4 recordings, 2 seeds)"]


def test_one_pair_is_tested_exactly(gpu_tables):
    """Four recordings won and none lost: p = 2 / 2^4."""
    (line,) = gpu_tables.gain_line("", [(np.zeros(10), np.arange(10) < 4)])
    assert "+40.0 (" in line
    assert "p = 0.1, 10 recordings" in line  # 0.125, one digit
    assert gpu_tables.gain_line("", []) == []


def test_the_saved_run_shows_what_its_predictions_say(gpu_tables):
    saved = FOLDER / "results" / "gpu-h200"
    results = json.loads((saved / "results.json").read_text())
    answers = json.loads((saved / "predictions.json").read_text())
    jobs = {name: {**job, **answers[name]} for name, job in results["jobs"].items()}
    text = gpu_tables.tables(results["about"], jobs)
    hits = sum(
        a == b
        for a, b in zip(
            answers["board-3000"]["twin_predictions"], answers["board-3000"]["labels"], strict=True
        )
    )
    assert hits == 947
    assert (
        "| 3000  | 0 + 1 | 38000 | 82.3% (79.8% to 84.5%) | 95.9% | 94.7% (93.1% to 95.9%)" in text
    )
    assert "mtt over sdt: -3.9 (" in text
