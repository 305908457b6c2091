"""How soon N-MNIST's digits can be read, and how few synaptic operations do.

    python examples/early_exit/run.py --data NMNIST --synthetic SYNTHETIC --work WORK

NMNIST holds real recordings in N-MNIST's layout, SYNTHETIC those of examples/nmnist's
make_synthetic.py. Writes exits.json and tuning-*.json with every figure, answer and version, which
table.py prints. Everything is played on the twin: no chip was attached.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from network import SEED, read_parts, trained_network

import speckflex as sf
from speckflex._support.commit import commit_of_package
from speckflex.analysis.tuning import TuneSettings, Tuning, split_samples, tune_program
from speckflex.report import render_json

if TYPE_CHECKING:
    from speckflex.data import EventDataset


def main() -> None:
    """Train the network if it is not there, and measure what the options ask for."""
    options = read_options()
    torch.set_num_threads(1)
    parts = read_parts(options.data)
    unseen = parts.unseen.subset(range(0, len(parts.unseen), options.every))
    network = trained_network(
        parts,
        options.synthetic,
        options.work,
        epochs=options.epochs,
        tuning_epochs=options.tuning_epochs,
    )
    program = sf.convert(network, input_shape=unseen.shape)
    program.save(options.work / "network.speck")
    options.out.mkdir(parents=True, exist_ok=True)
    if "exits" in options.parts:
        write(options.out / "exits.json", lambda: exits(program, unseen), program)
    events = [events for events, _ in unseen]
    for space in ("thresholds", "decimation"):
        for budget in options.budgets if space in options.parts else ():
            settings = TuneSettings(
                budget=budget,
                space=space,
                configurations=options.configurations,
                candidates=options.candidates,
                seed=SEED,
                threads=1,
            )
            samples = split_samples(events, unseen.labels)
            write(
                options.out / f"tuning-{space}-{budget:g}.json",
                lambda settings=settings, samples=samples: plain(
                    tune_program(program, *samples, settings), samples[1].labels.tolist()
                ),
                program,
            )


def exits(program: sf.Program, unseen: EventDataset) -> dict[str, Any]:
    """Return the section on early exit of a deployment, and each sample's answer."""
    settings = sf.DeploySettings(early_exit=True, events_of=1, threads=1)
    deployment = sf.deploy(program, unseen, "twin", settings=settings)
    found = json.loads(render_json(deployment.report))
    return {
        "early_exit": found["early_exit"]["twin"],
        "latency": found["latency"]["twin"],
        "labels": unseen.labels.tolist(),
        "answers": deployment.recordings["twin"].answers().tolist(),
    }


def plain(tuning: Tuning, labels: list[int]) -> dict[str, Any]:
    """Return a tuning in JSON's types."""
    values = {name: value for name, value in vars(tuning).items() if name != "program"}
    return {
        **values,
        "sha256": tuning.program.sha256,
        "layers": [asdict(layer) for layer in tuning.layers],
        "gain": asdict(tuning.gain),
        "answers": tuning.answers.tolist(),
        "labels": labels,
    }


def write(path: Path, measure: Any, program: sf.Program) -> None:
    """Write what a function returns, with the versions and the processor's time."""
    if path.exists():
        print(f"{path} already exists")
        return
    started = time.process_time()
    found = measure()
    origin = {
        "speckflex": sf.__version__,
        "commit": commit_of_package(),
        "program": program.sha256,
        "cpu_seconds": round(time.process_time() - started, 1),
    }
    path.write_text(json.dumps({**origin, **found}) + "\n")
    print(f"written: {path} ({origin['cpu_seconds']} s)", flush=True)


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="N-MNIST, Train inside")
    parser.add_argument("--synthetic", type=Path, required=True, help="of make_synthetic.py")
    parser.add_argument("--work", type=Path, required=True, help="folder of the network")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--tuning-epochs", type=int, default=8)
    parser.add_argument("--every", type=int, default=1, help="take each n-th unseen recording")
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.7, 0.5])
    parser.add_argument("--configurations", type=int, default=18)
    parser.add_argument("--candidates", type=int, default=6)
    choices = ["exits", "thresholds", "decimation"]
    parser.add_argument("--parts", nargs="+", choices=choices, default=choices)
    return parser.parse_args()


if __name__ == "__main__":
    main()
