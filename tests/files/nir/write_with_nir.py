"""Write the small network with the nir package alone, of whatever version is installed.

python write_with_nir.py OUT.nir
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
from small_network import INPUT_SHAPE, THRESHOLD, weights

HAS_RESET = "v_reset" in nir.IF.__dataclass_fields__


def neurons(*shape: int) -> nir.IF:
    """Return neurons of one threshold, that return to zero where this version can say so."""
    full = {"r": np.ones(shape, np.float32), "v_threshold": np.full(shape, THRESHOLD, np.float32)}
    if HAS_RESET:
        full["v_reset"] = np.zeros(shape, np.float32)
    return nir.IF(**full)


def convolution(weight: np.ndarray, size: tuple[int, int], padding: int) -> nir.Conv2d:
    """Return a convolution without a bias."""
    bias = np.zeros(len(weight), np.float32)
    return nir.Conv2d(size, weight, 1, padding, 1, 1, bias)


def main() -> None:
    """Write the file."""
    layers = weights()
    two = np.array([2, 2])
    nodes = {
        "input": nir.Input({"input": np.array(INPUT_SHAPE)}),
        "conv1": convolution(layers["conv1"], (8, 8), 1),
        "neurons1": neurons(4, 8, 8),
        "pool": nir.AvgPool2d(two, two, np.array([0, 0])),
        "conv2": convolution(layers["conv2"], (4, 4), 0),
        "neurons2": neurons(4, 2, 2),
        "flatten": nir.Flatten({"input": np.array([4, 2, 2])}, 0, -1),
        "linear": nir.Linear(layers["linear"]),
        "neurons3": neurons(5),
        "output": nir.Output({"output": np.array([5])}),
    }
    path = Path(sys.argv[1])
    # 1.0.5 checks the types of nodes before it can infer them
    unchecked = {"type_check": False} if version("nir") == "1.0.5" else {}
    nir.write(path, nir.NIRGraph(nodes, list(pairwise(nodes)), **unchecked))
    print(f"{path}: nir {version('nir')}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
