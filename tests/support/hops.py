"""Count the calls between `speckflex deploy` and the twin's first kernel.

    NUMBA_DISABLE_JIT=1 python tests/support/hops.py

numba is off, so that a kernel is a Python function whose call can be seen. The script prints the
stack of the first kernel that the twin calls, from the command's function down; routing, which has
a kernel of its own, does not count. The stack of a thread is continued with the stack of the
thread that submitted its work. To count another version, put its checkout on PYTHONPATH.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from types import FrameType

import sinabs.layers
import torch
from click.testing import CliRunner

import speckflex
from speckflex.cli import main

PACKAGE = Path(speckflex.__file__).parent
LOADED = (sinabs.layers, torch)  # loading them while calls are watched takes minutes


class KernelReachedError(BaseException):
    """The first kernel is called; nothing more needs to run."""


def frames_above(frame: FrameType | None) -> list[tuple[str, str]]:
    """Return (file, function) of the package's frames from the outermost down to `frame`."""
    found = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            found.append((path.relative_to(PACKAGE).as_posix(), frame.f_code.co_name))
        frame = frame.f_back
    return found[::-1]


def find_stack() -> list[tuple[str, str]]:
    """Return the package's frames from the command to the function that calls a kernel."""
    stacks: list[list[tuple[str, str]]] = []
    handed_over: list[tuple[str, str]] = []
    submit = ThreadPoolExecutor.submit

    def watched_submit(pool, *arguments, **settings):
        if not handed_over:
            handed_over.extend(frames_above(sys._getframe()))
        return submit(pool, *arguments, **settings)

    def watch(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and not stacks:
            above = frames_above(frame) if "kernels" in frame.f_code.co_filename else []
            caller, called = above[-2:] if len(above) > 1 else (("", ""), ("", ""))
            by_twin = caller[0].startswith("twin/") and caller[0] != "twin/routing.py"
            if called[0].startswith("kernels/") and by_twin and called[1] != "<module>":
                stacks.append(above if "cli/" in above[0][0] else handed_over + above)
                raise KernelReachedError

    ThreadPoolExecutor.submit = watched_submit
    threading.setprofile(watch)
    sys.setprofile(watch)
    model = str(files("speckflex") / "models" / "synthetic-digits.pt")
    data = ["--data", "synthetic-digits", "--samples", "1"]
    command = ["deploy", model, "--board", "twin", *data, "--threads", "1"]
    try:
        with suppress(KernelReachedError):
            CliRunner().invoke(main, command, catch_exceptions=False)
    finally:
        sys.setprofile(None)
        ThreadPoolExecutor.submit = submit
    stack = stacks[0]
    return stack[stack.index(("cli/deploy.py", "command")) :]


if __name__ == "__main__":
    stack = find_stack()
    for file, function in stack:
        print(f"{file:32} {function}")  # noqa: T201
    print(f"{len(stack)} frames in {len({file for file, _ in stack})} files")  # noqa: T201
