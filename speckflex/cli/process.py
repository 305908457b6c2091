"""The command line as all the work of a process, from its first line to its end."""

from __future__ import annotations

import atexit
import gc
import os
import sys

__all__ = ["run"]

# New objects between two searches for unreachable ones; Python 3.11 has 700 by default.
OBJECTS_BETWEEN_SEARCHES = 20_000


def run() -> None:
    """Run the command line; this ends the process.

    The imports of torch and numba make a million objects that all stay. To search through them for
    unreachable ones takes a tenth of a short deployment, and to take them apart one by one at the
    end a fifth. So Python searches less often, and the process ends without the latter: when its
    threads have ended, everything that was registered for the end of the process has been called
    and its output is written.
    """
    ending: list[int] = []
    atexit.register(_leave, ending)  # first, so that it is called last
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES, *gc.get_threshold()[1:])
    from speckflex.cli import main

    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            ending.append(end.code or 0)
        raise


def _leave(ending: list[int]) -> None:
    """End the process at once with a known exit code; let Python end it otherwise.

    Args:
        ending: the exit code, or nothing.
    """
    if not ending or _is_covered():
        return
    if "logging" in sys.modules:
        sys.modules["logging"].shutdown()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return  # Python says what can't be written, and has an exit code for it
    os._exit(ending[0] & 0xFF)


def _is_covered() -> bool:
    """Return whether coverage is measured: what was registered before still has to write it."""
    coverage = sys.modules.get("coverage")
    return coverage is not None and coverage.Coverage.current() is not None
