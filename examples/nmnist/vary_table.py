"""What the order of output, late events and lost events cost trained networks.

    python examples/nmnist/vary_table.py --data NMNIST plain=PLAIN.pt varied=VARIED.pt

Every network plays all real recordings on the twin, once for each line of the table. The last
columns compare it with the network that is named first, recording by recording.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from board_data import answers_on_twin

from speckflex.data import EventDataset, open_dataset
from speckflex.events.perturbation import Perturbation, perturb
from speckflex.networks.files import load_network
from speckflex.training.gain import paired_gain
from speckflex.version import __version__

ORDERS = ("cyx", "-y-x+c", "+c-y-x", "xyc")
JITTERS = (100, 500, 2000)  # µs
DROPS = (0.1, 0.3, 0.5)


def main() -> None:
    """Play, write the answers and print the table."""
    options = read_options()
    recordings = open_dataset(options.data, split="train", limit=options.recordings)
    labels = recordings.labels
    networks = dict(part.split("=", 1) for part in options.networks)
    answers: dict[str, dict[str, list[int]]] = {}
    print("| on the twin |", " | ".join(networks), "| points won, for pairs |")
    print("|---" * (len(networks) + 2) + "|")
    for line, (changed, settings) in conditions(recordings).items():
        answers[line] = {
            name: answers_on_twin(load_network(Path(path)), changed, **settings)
            for name, path in networks.items()
        }
        right = [np.array(found) == labels for found in answers[line].values()]
        cells = [f"{hits.mean():.1%}" for hits in right]
        print(f"| {line} | {' | '.join(cells)} | {won(right)} |", flush=True)
    content = {
        "networks": networks,
        "versions": {"speckflex": __version__},
        "labels": labels.tolist(),
        "twin_predictions": answers,
    }
    options.out.write_text(json.dumps(content) + "\n")


def conditions(recordings: EventDataset) -> dict[str, tuple[EventDataset, dict[str, Any]]]:
    """Return recordings and settings of the twin for each line of the table."""
    lines: dict[str, tuple[EventDataset, dict[str, Any]]] = {"as trained": (recordings, {})}
    lines |= {f"order {order}": (recordings, {"order": order}) for order in ORDERS}
    for jitter in JITTERS:
        changed = Perturbation(simultaneous=False, jitter=jitter)
        lines[f"jitter {jitter} µs"] = (perturbed(recordings, changed), {})
    for drop in DROPS:
        changed = Perturbation(simultaneous=False, drop=drop)
        lines[f"{drop:.0%} of the events lost"] = (perturbed(recordings, changed), {})
    return lines


def perturbed(recordings: EventDataset, perturbation: Perturbation) -> EventDataset:
    """Return recordings whose events are changed, the same each time they are read."""

    def read(index: int) -> np.ndarray:
        return perturb(recordings[index][0], perturbation, np.random.default_rng(index))

    return replace(recordings, items=tuple(range(len(recordings))), read=read)


def won(right: list[np.ndarray]) -> str:
    """Return what the other networks won over the first."""
    cells = []
    for hits in right[1:]:
        gain = paired_gain(right[0], hits)
        low, high = (100 * end for end in gain.interval)
        cells.append(f"{100 * (gain.after - gain.before):+.1f} ({low:+.1f} to {high:+.1f})")
    return "; ".join(cells)


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Play networks under what a chip may do.")
    parser.add_argument("networks", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--data", required=True, help="N-MNIST: Train inside, or label folders")
    parser.add_argument("--recordings", type=int, help="use this many only")
    parser.add_argument("--out", type=Path, required=True, help="file for the answers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
