r"""Measure the torch reference of a deployment against sinabs' own forward pass.

    python benchmarks/bench_reference.py [--bins 300] [--samples 32] [--repeats 7] [--threads 2] \
        [--json FILE]

The bundled network, which has sinabs' layers, plays synthetic digits. The reference counts events
into frames, runs them and keeps the spikes of every layer; sinabs gets frames that are ready and
keeps only its output. Both take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from sinabs.layers import StatefulLayer

import speckflex as sf
from speckflex.data import open_dataset
from speckflex.deployment.torch_reference import TorchReference
from speckflex.events.frames import to_frames
from speckflex.networks.files import load_network

MODEL = Path(__file__).resolve().parents[1] / "speckflex" / "models" / "synthetic-digits.pt"
SHAPE = (2, 34, 34)


def run_sinabs(network: torch.nn.Module, frames: torch.Tensor) -> torch.Tensor:
    """Return (recording, class), the spikes of each class, from states at rest.

    Args:
        network: of squeezed sinabs layers.
        frames: (recording, time, channel, y, x) float32.
    """
    for layer in network.modules():
        if isinstance(layer, StatefulLayer):
            layer.reset_states()
            layer.batch_size = len(frames)
    with torch.no_grad():
        return network(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).sum(1)


def main() -> None:
    """Measure both in turns and print their medians."""
    options = read_options()
    torch.set_num_threads(options.threads)
    dataset = open_dataset("synthetic-digits")[: options.samples]
    streams = [events for events, _ in dataset]
    program = sf.convert(load_network(MODEL), input_shape=SHAPE)
    reference = TorchReference(load_network(MODEL), program, bins=options.bins)
    plain = load_network(MODEL)
    frames = np.stack([to_frames(events, SHAPE, options.bins) for events in streams])
    shown = torch.from_numpy(frames).float()
    seconds: dict[str, list[float]] = {"reference": [], "sinabs": []}
    for _ in range(options.repeats + 1):
        began = time.perf_counter()
        played = reference.play(streams, keep_events=False)
        between = time.perf_counter()
        output = run_sinabs(plain, shown)
        seconds["sinabs"].append(time.perf_counter() - between)
        seconds["reference"].append(between - began)
        if not np.array_equal(played.layer(-1).scores, output.round().long().numpy()):
            raise SystemExit("the two do not count the same spikes")
    ours, theirs = (statistics.median(seconds[name][1:]) for name in ("reference", "sinabs"))
    print(
        f"{len(streams)} recordings, {options.bins} bins, {options.threads} threads: the reference"
        f" {ours:.2f} s, sinabs {theirs:.2f} s, ratio {ours / theirs:.2f}"
    )
    if options.json:
        rows = [{"bins": options.bins, "reference s": ours, "sinabs s": theirs}]
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--bins", type=int, default=300)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
