"""Step 6: play test recordings on the attached Speck, or without one on its twin, and report."""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.deploy(__doc__)
