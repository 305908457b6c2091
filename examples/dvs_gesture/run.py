"""All steps, one after the other.

    python examples/dvs_gesture/run.py                                  # a few minutes
    python examples/dvs_gesture/run.py --size tiny                      # to see that it runs
    python examples/dvs_gesture/run.py --size full --data data/DVSGesture

Every option is that of the steps.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
STEPS = ("prepare", "train", "fold", "finetune", "convert", "deploy")


def main() -> None:
    """Run the scripts in this process, which loads torch once; stop at the first that fails."""
    options = sys.argv[1:]
    for name in STEPS:
        script = FOLDER / f"{name}.py"
        print("$ python", script, *options, flush=True)
        sys.argv = [str(script), *options]
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise


if __name__ == "__main__":
    main()
