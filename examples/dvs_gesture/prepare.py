"""Step 1: the recordings. Synthetic ones, in DVS-Gesture's layout, unless --data names real ones.

The real data set, where there is a network, through tonic:

    python examples/dvs_gesture/prepare.py --data data/DVSGesture --download
"""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.prepare(__doc__)
