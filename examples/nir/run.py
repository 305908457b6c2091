"""Train in plain torch, export to NIR, deploy: one command for the three steps.

    python examples/nir/run.py --out out/nir

--tiny takes a few seconds and only shows that it runs; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def run(*command: object) -> None:
    """Run one command; stop where it fails."""
    words = [str(word) for word in command]
    print("$", *words, flush=True)
    failed = subprocess.run(words, check=False).returncode  # noqa: S603  our own commands
    if failed:
        sys.exit(failed)


def main() -> None:
    """Run the steps."""
    parser = argparse.ArgumentParser(description="A network not made with sinabs, on Speck.")
    parser.add_argument("--out", type=Path, default=Path("out/nir"))
    parser.add_argument("--board", default="speck2e")
    parser.add_argument("--tiny", action="store_true", help="a few seconds, shows that it runs")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    weights, graph = options.out / "weights.npz", options.out / "net.nir"
    size = ("--samples", 40, "--epochs", 1, "--bins", 4) if options.tiny else ()
    speckflex = Path(sys.executable).with_name("speckflex")
    run(sys.executable, FOLDER / "train.py", *size, "--out", weights)
    run(sys.executable, FOLDER / "export.py", weights, "--out", graph)
    run(speckflex, "check", graph, "--diagram", options.out / "network.svg")
    data = ("--data", "synthetic-digits", "--samples", 10 if options.tiny else 100)
    target = ("--board", options.board, "--out", options.out / "report")
    run(speckflex, "deploy", graph, *data, *target)


if __name__ == "__main__":
    main()
