"""Runs a script that was written for samna on virtual devkits: `python -m speckflex.virtual`."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from speckflex.errors import SpeckflexError
from speckflex.virtual import DEVICE_CHIPS, install


def main(arguments: list[str] | None = None) -> None:
    """Attach the devices, then run the script as `python SCRIPT` would.

    Args:
        arguments: of the command line; None for those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m speckflex.virtual",
        description="Run a script that was written for samna or sinabs on virtual devkits.",
    )
    parser.add_argument(
        "--device",
        action="append",
        metavar="NAME",
        help=f"attach a device, one of {', '.join(DEVICE_CHIPS)}; may be repeated"
        " (default: Speck2eDevKit)",
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="board seconds per real second (default: 1)"
    )
    parser.add_argument("script", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the script")
    options = parser.parse_args(arguments)
    if not options.script.is_file():
        parser.error(f"no script at {options.script}: give the path of a Python file")
    try:
        install(options.device or ["Speck2eDevKit"], speed=options.speed)
    except SpeckflexError as error:
        parser.error(str(error))
    sys.argv = [str(options.script), *options.arguments]
    sys.path.insert(0, str(options.script.resolve().parent))
    runpy.run_path(str(options.script), run_name="__main__")


if __name__ == "__main__":
    main()
