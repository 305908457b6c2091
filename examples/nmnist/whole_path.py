"""Run the whole example on parts of the real recordings, and judge it on those left out.

    python examples/nmnist/whole_path.py --data NMNIST --images MNIST --work WORK

NMNIST has real recordings in Train, MNIST the test images. The real recordings are divided into
folds, each class alike. For each fold a folder is made with the others in Train and its own in
Test, and `run.py --size real` goes from there to the report. So each real recording is played
by one network that never saw it.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from board_data import answers_in_torch, answers_on_twin, folds_of

from speckflex.data import EventDataset, open_dataset
from speckflex.networks.files import load_network
from speckflex.recordings.measures import wilson_interval
from speckflex.training.gain import paired_gain
from speckflex.version import __version__

T = 10  # frames of a recording in torch


def main() -> None:
    """Run the folds that have not run yet, write the answers and print the figures."""
    options = read_options()
    real = open_dataset(options.data, split="train")
    folds = folds_of(real.labels, options.folds, options.seed)
    chosen = range(options.folds) if options.only is None else options.only
    results = [run_fold(real, folds == fold, fold, options) for fold in chosen]
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"whole-path-seed{options.seed}.json"
    content = {"versions": {"speckflex": __version__}, "folds": results}
    (options.out / name).write_text(json.dumps(content) + "\n")
    print_figures(results)


def run_fold(
    real: EventDataset, apart: np.ndarray, fold: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Run the example on one fold and return what was answered."""
    folder = options.work / f"fold{fold}"
    out, result = folder / "out", folder / "result.json"
    if result.exists():
        return json.loads(result.read_text())
    link_recordings(real, ~apart, folder / "Train")
    link_recordings(real, apart, folder / "Test")
    script = Path(__file__).with_name("run.py")
    started = time.monotonic()
    subprocess.run(  # noqa: S603  our own script
        [
            *(sys.executable, str(script), "--size", "real", "--data", str(folder)),
            *("--images", str(options.images)),
            *("--out", str(out), "--board", "twin", "--seed", str(options.seed + fold)),
        ],
        check=True,
    )
    seconds = time.monotonic() - started
    test = open_dataset(folder, split="test")
    content = {
        "fold": fold,
        "seconds": round(seconds),
        **read_answers(out / "base.pt", out / "report", test),
    }
    result.write_text(json.dumps(content) + "\n")
    return content


def link_recordings(
    recordings: EventDataset, chosen: np.ndarray, folder: Path, prefix: str = ""
) -> None:
    """Link recordings into the folders of their labels.

    Args:
        recordings: each a file.
        chosen: (recording,) bool.
        folder: gets a folder for each label.
        prefix: of the names.
    """
    for index in np.flatnonzero(chosen):
        path = Path(recordings.items[index]).resolve()
        link = folder / str(recordings.labels[index]) / f"{prefix}{path.name}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(path)


def read_answers(model: Path, report: Path, test: EventDataset) -> dict[str, Any]:
    """Return what a base and a report say of each test recording, -1 for no answer."""
    with (report / "samples.csv").open(newline="") as file:
        samples = list(csv.DictReader(file))
    if [int(sample["label"]) for sample in samples] != test.labels.tolist():
        raise SystemExit(f"{report}: does not hold all recordings of the fold")
    base = load_network(model)
    return {
        "labels": test.labels.tolist(),
        **{kind: [int(each[kind] or -1) for each in samples] for kind in ("torch", "twin")},
        "base_torch": answers_in_torch(base, test, T),
        "base_twin": answers_on_twin(base, test),
    }


def print_figures(results: list[dict[str, Any]]) -> None:
    """Print the accuracies over all folds, and what the twin wins over the others, for pairs."""
    for kind in ("base_torch", "base_twin", "torch", "twin"):
        right = hits(results, kind)
        low, high = wilson_interval(int(right.sum()), len(right))
        print(f"{kind}: {right.mean():.1%} ({low:.1%} to {high:.1%}) of {len(right)}")
    for other in ("torch", "base_torch", "base_twin"):
        gain = paired_gain(hits(results, other), hits(results, "twin"))
        low, high = (100 * end for end in gain.interval)
        points = 100 * (gain.after - gain.before)
        print(f"twin over {other}: {points:+.1f} ({low:+.1f} to {high:+.1f}, {gain.p_value:.1g})")


def hits(results: list[dict[str, Any]], kind: str) -> np.ndarray:
    """Return (recording,) bool: what was answered right, in the order of the folder."""
    return np.concatenate([np.array(each[kind]) == each["labels"] for each in results])


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Run the example on folds of the recordings.")
    parser.add_argument("--data", required=True, help="N-MNIST: real recordings in Train")
    parser.add_argument("--images", type=Path, required=True, help="MNIST's test images")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="+", help="run these folds, not all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True, help="folder for everything else")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
