"""Compare simulated recordings with real ones: numbers of events, their times and places.

    python examples/nmnist/sensor_table.py --data NMNIST --images t10k-images-idx3-ubyte.gz

prints mean and standard deviation over recordings, for real training recordings, for the same
number of simulated ones (`simulate_image`), and for those of a sensor without a refractory time
that is the same in each recording (`simulate_saccades` with its defaults). No label is used. The
images are other ones than those of the real recordings, so that only distributions compare.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speckflex.data import open_dataset, read_idx, simulate_image
from speckflex.data.synthetic._saccades import simulate_saccades

if TYPE_CHECKING:
    from collections.abc import Sequence

PIXELS = 34
STROKES_US = (0, 104_000, 208_000, 10**9)
SKIP = 100  # images behind N-MNIST's test recordings


def main() -> None:
    """Print the table."""
    options = read_options()
    real = open_dataset(options.data, split="train")
    rng = np.random.default_rng(options.seed)
    chosen = rng.permutation(len(real))[: options.recordings]
    images = read_idx(options.images)[SKIP:] / 255
    shown = images[rng.permutation(len(images))[: options.recordings]]
    columns = {
        "real": [real[int(index)][0] for index in chosen],
        "simulated": [simulate_image(image, rng) for image in shown],
        "one plain sensor": [simulate_saccades(image, rng) for image in shown],
    }
    tables = {name: [statistics_of(events) for events in all_] for name, all_ in columns.items()}
    print(f"| of a recording | {' | '.join(tables)} |")
    print("|---" * (len(tables) + 1) + "|")
    for name in tables["real"][0]:
        cells = [spread([each[name] for each in rows]) for rows in tables.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    for one, other in (("events", "active pixels"), ("events", "median gap of a pixel, ms")):
        cells = [f"{correlation(rows, one, other):.2f}" for rows in tables.values()]
        print(f"| correlation of {one} and {other} | {' | '.join(cells)} |")


def statistics_of(events: np.ndarray) -> dict[str, float]:
    """Return numbers that describe a recording.

    Args:
        events: of a sensor of 34 x 34 pixels, not empty, in the order of time.
    """
    times = events["t"].astype(np.int64)
    pixels = events["y"].astype(np.int64) * PIXELS + events["x"]
    order = np.lexsort((times, pixels))
    same_pixel = np.diff(pixels[order]) == 0
    gaps = np.diff(times[order])[same_pixel] / 1000
    same_sign = (np.diff(events["p"][order].astype(int)) == 0)[same_pixel]
    counts = np.bincount(pixels, minlength=PIXELS**2)
    active = counts[counts > 0]
    rates = np.bincount(times // 10_000)
    strokes = np.histogram(times, STROKES_US)[0] / len(events)
    return {
        "events": len(events),
        "active pixels": len(active),
        "events of an active pixel": float(active.mean()),
        "active pixels with 1 or 2 events, %": 100 * float((active <= 2).mean()),
        "median gap of a pixel, ms": float(np.median(gaps)),
        "shortest 10 % of the gaps, ms": float(np.percentile(gaps, 10)),
        "shortest 1 % of the gaps, ms": float(np.percentile(gaps, 1)),
        "gaps between events of one polarity, %": 100 * float(same_sign.mean()),
        "most events in 10 ms": int(rates.max()),
        "events with p = 1, %": 100 * float(events["p"].mean()),
        "events in stroke 1, %": 100 * float(strokes[0]),
        "events in stroke 2, %": 100 * float(strokes[1]),
        "events in stroke 3, %": 100 * float(strokes[2]),
        "last event, ms": float(times.max() / 1000),
        "mean x": float(events["x"].mean()),
        "mean y": float(events["y"].mean()),
        "deviation of x": float(events["x"].std()),
        "deviation of y": float(events["y"].std()),
    }


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation."""
    mean, deviation = float(np.mean(values)), float(np.std(values))
    digits = 0 if mean >= 100 else 1 if mean >= 10 else 2
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def correlation(rows: Sequence[dict[str, float]], one: str, other: str) -> float:
    """Return the correlation of two numbers over recordings."""
    first, second = ([row[name] for row in rows] for name in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Compare simulated recordings with real ones.")
    parser.add_argument("--data", required=True, help="N-MNIST: Train inside, or label folders")
    parser.add_argument("--images", type=Path, required=True, help="MNIST test images, IDX")
    parser.add_argument("--recordings", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
