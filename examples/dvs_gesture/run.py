"""All steps, one after the other.

    python examples/dvs_gesture/run.py                                  # a few minutes
    python examples/dvs_gesture/run.py --size tiny                      # to see that it runs
    python examples/dvs_gesture/run.py --size full --data data/DVSGesture

Every option is that of the steps.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
STEPS = ("prepare", "train", "fold", "finetune", "convert", "deploy")


def main() -> None:
    """Run the steps with this Python; stop at the first that fails."""
    for name in STEPS:
        words = [str(FOLDER / f"{name}.py"), *sys.argv[1:]]
        print("$ python", *words, flush=True)
        failed = subprocess.run([sys.executable, *words], check=False).returncode  # noqa: S603
        if failed:
            sys.exit(failed)


if __name__ == "__main__":
    main()
