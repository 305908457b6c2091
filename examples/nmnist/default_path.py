"""The path of the command line with all defaults: train, finetune, deploy, on real recordings.

    python examples/nmnist/default_path.py --data NMNIST --images MNIST --work WORK [--folds 5]
    python examples/nmnist/default_path.py --data NMNIST --images MNIST --work WORK --alone

NMNIST has real recordings in Train, MNIST the test images. 5000 recordings are simulated from the
images. Four fifths of the real ones train beside them and the last fifth judges, for each fold in
turn; with `--alone` only the simulated ones train and all real ones judge. Then three commands run
from there to the report, without any option but the seed. A network that is in WORK is not trained
again. Six minutes of a core for each. With `--dense` the board begins at once, without the epochs
in torch that make the network sparse (`--sparse-epochs 0`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from board_data import folds_of
from sizes import TEST_IMAGES, find_images
from whole_path import link_recordings, print_figures, read_answers

from speckflex.data import EventDataset, open_dataset
from speckflex.version import __version__

HERE = Path(__file__).parent


def main() -> None:
    """Run the paths that have not run yet, write the answers and print the figures."""
    options = read_options()
    real = open_dataset(options.data, split="train")
    simulated = simulate(options)
    folds = folds_of(real.labels, options.folds, options.seed)
    if options.alone:
        everything = np.ones(len(real), bool)
        results = [run_path(real, everything, simulated, options.seed, options)]
        name = f"alone-{options.seed}"
    else:
        chosen = range(options.folds) if options.only is None else options.only
        results = [
            run_path(real, folds == fold, simulated, options.seed + fold, options)
            for fold in chosen
        ]
        name = f"folds-{options.seed}"
    if options.dense:
        name = f"dense-{name}"
    options.out.mkdir(parents=True, exist_ok=True)
    content = {"versions": {"speckflex": __version__}, "folds": results}
    (options.out / f"{name}.json").write_text(json.dumps(content) + "\n")
    print_figures(results)


def simulate(options: argparse.Namespace) -> EventDataset:
    """Return recordings that are simulated from MNIST's images, by the example's own command."""
    folder = options.work / "simulated"
    if not folder.exists():
        images, labels = find_images(options.images)
        run(
            sys.executable,
            HERE / "make_synthetic.py",
            *("--images", images, "--labels", labels, "--skip", TEST_IMAGES),
            *("--count", options.simulated, "--out", folder),
        )
    return open_dataset(folder, split="train")


def run_path(
    real: EventDataset,
    apart: np.ndarray,
    simulated: EventDataset,
    seed: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Run the three commands, and return what was answered to the real recordings kept apart."""
    out = options.work / f"{'alone' if options.alone else 'fold'}-{seed}"
    kind = "dense-" if options.dense else ""
    result = out / f"{kind}result.json"
    if result.exists():
        return json.loads(result.read_text())
    link_recordings(real, ~apart, out / "data" / "Train")
    link_recordings(simulated, np.ones(len(simulated), bool), out / "data" / "Train", "simulated-")
    link_recordings(real, apart, out / "data" / "Test")
    data, base = out / "data", out / "base.pt"
    tuned, report = out / f"{kind}tuned.pt", out / f"{kind}report"
    given = ("--data", data, "--seed", seed)
    started = time.monotonic()
    if not base.exists():
        speckflex("train", *given, "--metrics", out / "base.jsonl", "--out", base)
    if not tuned.exists():
        dense = ("--sparse-epochs", 0) if options.dense else ()
        metrics = tuned.with_suffix(".jsonl")
        speckflex("finetune", base, *given, *dense, "--metrics", metrics, "--out", tuned)
    speckflex("deploy", tuned, "--board", "twin", "--data", data, "--out", report)
    content = {
        "seed": seed,
        "seconds": round(time.monotonic() - started),
        "base": read_lines(base.with_suffix(".jsonl")),
        "tuned": read_lines(tuned.with_suffix(".jsonl")),
        **read_answers(base, report, open_dataset(data, split="test")),
    }
    result.write_text(json.dumps(content) + "\n")
    return content


def speckflex(*words: Any) -> None:
    """Run a command of speckflex."""
    run(sys.executable, "-c", "from speckflex.cli.process import run; run()", *words)


def run(*words: Any) -> None:
    """Run a program."""
    subprocess.run([str(word) for word in words], check=True)  # noqa: S603  our own


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Run train, finetune and deploy by default.")
    parser.add_argument("--data", required=True, help="N-MNIST: real recordings in Train")
    parser.add_argument("--images", type=Path, required=True, help="MNIST's test images")
    parser.add_argument("--simulated", type=int, default=5000, help="recordings to simulate")
    parser.add_argument("--alone", action="store_true", help="train on simulated ones alone")
    parser.add_argument("--dense", action="store_true", help="without epochs that make it sparse")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="+", help="run these folds, not all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True, help="folder for everything else")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "default-path")
    return parser.parse_args()


if __name__ == "__main__":
    main()
