"""All steps, one after the other.

    python examples/nmnist/run.py                                # a few minutes
    python examples/nmnist/run.py --size tiny                    # to see that it runs
    python examples/nmnist/run.py --size full --data data/NMNIST

Every option is that of the steps.
"""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.run()
