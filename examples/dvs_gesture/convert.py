"""Step 5: convert to the chip's integers, place the layers on cores, and draw them."""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.convert(__doc__)
