"""All steps, one after the other.

    python examples/nmnist/run.py                                # a few minutes
    python examples/nmnist/run.py --size tiny                    # only shows that it runs
    python examples/nmnist/run.py --size full --data data/NMNIST

All steps have the same options.
"""

from __future__ import annotations

from sizes import PIPELINE

if __name__ == "__main__":
    PIPELINE.run()
