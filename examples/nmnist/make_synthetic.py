"""Simulate recordings of other handwriting, to add to the training part.

    python examples/nmnist/make_synthetic.py --images t10k-images-idx3-ubyte.gz \
        --labels t10k-labels-idx1-ubyte.gz --skip 100 --count 3000 --out DIR

Skip the images whose recordings you test on: N-MNIST was recorded from MNIST. With --distort 0.7
each image is turned, stretched, sheared and bent first, as other handwriting is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from speckflex.data import distort_images, read_idx, write_saccade_recordings


def main() -> None:
    """Write one simulated recording per image, in N-MNIST's layout."""
    parser = argparse.ArgumentParser(description="Simulate recordings of MNIST images.")
    parser.add_argument("--images", type=Path, required=True, help="IDX file, may be .gz")
    parser.add_argument("--labels", type=Path, required=True, help="IDX file, may be .gz")
    parser.add_argument("--skip", type=int, default=100, help="leave out the first images")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--sensor", choices=["plain", "fitted"], default="plain", help="see sensor_table.py"
    )
    parser.add_argument("--distort", type=float, default=0, metavar="STRENGTH", help="such as 0.7")
    parser.add_argument("--out", type=Path, required=True, help="gets a folder Train")
    options = parser.parse_args()
    chosen = slice(options.skip, options.skip + options.count)
    images, labels = read_idx(options.images)[chosen], read_idx(options.labels)[chosen]
    if options.distort:
        images = distort_images(images, options.distort, np.random.default_rng(options.seed))
    folder = options.out / "Train"
    write_saccade_recordings(images, labels, folder, seed=options.seed, sensor=options.sensor)
    print(f"{len(images)} synthetic recordings: {options.out}")


if __name__ == "__main__":
    main()
