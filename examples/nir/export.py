"""Write trained weights as a NIR graph, node by node, with only the nir package.

python examples/nir/export.py weights.npz --out net.nir
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np


def build_graph(weights: dict[str, np.ndarray]) -> nir.NIRGraph:
    """Return the network of `train.py` as a chain of NIR nodes."""
    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input({"input": np.array([2, 34, 34])}),
        "conv1": convolution(weights["conv1.weight"], (34, 34), padding=1),
        "neurons1": neurons(8, 17, 17),
        "conv2": convolution(weights["conv2.weight"], (17, 17), padding=0),
        "neurons2": neurons(16, 8, 8),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flatten": nir.Flatten({"input": np.array([16, 4, 4])}, 0, -1),
        "linear": nir.Affine(weights["linear.weight"], np.zeros(10, np.float32)),
        "output": nir.Output({"output": np.array([10])}),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


def convolution(weight: np.ndarray, size: tuple[int, int], *, padding: int) -> nir.Conv2d:
    """Return a convolution of stride 2 without a bias."""
    return nir.Conv2d(
        input_shape=size,
        weight=weight,
        stride=(2, 2),
        padding=(padding, padding),
        dilation=(1, 1),
        groups=1,
        bias=np.zeros(len(weight), np.float32),
    )


def neurons(*shape: int) -> nir.IF:
    """Return integrate-and-fire neurons of threshold 1."""
    return nir.IF(r=np.ones(shape, np.float32), v_threshold=np.ones(shape, np.float32))


def main() -> None:
    """Read the weights and write the graph."""
    parser = argparse.ArgumentParser(description="Write trained weights as a NIR graph.")
    parser.add_argument("weights", type=Path, help="the .npz file of train.py")
    parser.add_argument("--out", type=Path, required=True, help="the .nir file to write")
    options = parser.parse_args()
    with np.load(options.weights) as weights:
        nir.write(options.out, build_graph(dict(weights)))
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
