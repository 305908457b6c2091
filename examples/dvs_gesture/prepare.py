"""Step 1: the recordings. Synthetic ones, in DVS-Gesture's layout, unless --data names real ones.

The real data set, where there is a network, through tonic:

    python examples/dvs_gesture/prepare.py --data data/DVSGesture --download
"""

from __future__ import annotations

import sys

from sizes import read_step

from speckflex.data import open_dataset, write_synthetic_gestures


def main() -> None:
    """Write or find the recordings, and say what there is."""
    download = "--download" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--download"]
    step = read_step(__doc__ or "")
    if download:
        open_dataset("dvsgesture", split="all", cache=step.data.parent, download=True)
    elif not step.data.exists():
        write_synthetic_gestures(step.out, seed=step.seed, users=step.size.users)
    for split in ("train", "test"):
        dataset = open_dataset(step.data, split=split)
        kind = "synthetic" if dataset.synthetic else "real"
        print(f"{split}: {len(dataset)} {kind} recordings of {len(dataset.classes)} gestures")


if __name__ == "__main__":
    main()
