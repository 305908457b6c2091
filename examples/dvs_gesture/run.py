"""All steps, one after the other.

    python examples/dvs_gesture/run.py                                  # a few minutes
    python examples/dvs_gesture/run.py --size tiny                      # to see that it runs
    python examples/dvs_gesture/run.py --size full --data data/DVSGesture

Every option is that of the steps.
"""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.run()
