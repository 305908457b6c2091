"""Compare the twin with the slow reference on many random programs and streams.

    python tests/support/fuzz_twin.py [--programs 10000] [--seed 0]

Each program has its own seed, which is printed when it fails: `--programs 1 --seed N` runs it.
"""

import argparse
import sys
import time

from agreement import check_seed


def agrees(seed):
    """Return whether twin and reference agree on one seed."""
    try:
        check_seed(seed)
    except AssertionError:
        return False
    return True


def main():
    """Run all seeds; exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    options = parser.parse_args()
    started = time.monotonic()
    failed = []
    for seed in range(options.seed, options.seed + options.programs):
        if not agrees(seed):
            failed.append(seed)
            sys.stderr.write(f"seed {seed} differs\n")
    seconds = time.monotonic() - started
    sys.stdout.write(
        f"{options.programs} programs from seed {options.seed}: {len(failed)} differ"
        f" ({seconds:.0f} s)\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
