"""Step 1: the recordings. Synthetic ones, in N-MNIST's layout, unless --data names real ones.

The real data set, where there is a network, through tonic:

    python examples/nmnist/prepare.py --data data/NMNIST --download
"""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.prepare(__doc__)
