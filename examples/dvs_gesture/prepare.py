"""Step 1: synthetic recordings in DVS-Gesture's layout, or real ones from the folder of --data.

With a network connection, tonic downloads the real data set:

    python examples/dvs_gesture/prepare.py --data data/DVSGesture --download
"""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.prepare(__doc__)
