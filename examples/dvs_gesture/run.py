"""All steps, one after the other.

    python examples/dvs_gesture/run.py                                  # a few minutes
    python examples/dvs_gesture/run.py --size tiny                      # only shows that it runs
    python examples/dvs_gesture/run.py --size full --data data/DVSGesture

All steps have the same options.
"""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.run()
