"""Step 3: fold batch norm into the weights without a bias, and print what was dropped."""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.fold(__doc__)
