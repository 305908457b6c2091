"""A folder that holds the files of one run: of this one or, until it is done, of the one before."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speckflex._support.locks import lock
from speckflex._support.text import printable
from speckflex.errors import SpeckflexError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["RunFolder", "new_run", "unfinished"]

MARK = ".speckflex-running"
NAME_DIGITS = 6  # bytes of the run's identifier
LONGEST_MARK = 200  # characters
# Who looks at a folder locks its mark for a moment.
TRIES, SECONDS_BETWEEN = 5, 0.02

logger = logging.getLogger("speckflex")


class RunFolder:
    """Takes the files of a run, and gives them their names when all are complete.

    While the block lasts, a hidden file marks the folder, and another process is refused. A mark
    that is still there when no process holds it was left by a run that was ended, or that could
    not write a file of which an older one lies there: the folder may then hold files of two runs,
    which the next run says and mends.

    Attributes:
        path: the folder.
        run: what the files of this run have in common.

    Args:
        path: the folder; it is made if it is missing.
        failure: the class of the errors.
        run: the identifier; None for a new one.
    """

    def __init__(
        self, path: str | Path, failure: type[SpeckflexError], run: str | None = None
    ) -> None:
        self.path = Path(path)
        self.run = run or new_run()
        self._failure = failure
        self._failed: list[SpeckflexError] = []
        self._names: list[str] = []
        self._lost: list[str] = []
        self._mark: Any = None
        self._is_new = False
        self._is_mixed = False

    def __enter__(self) -> Self:
        """Mark the folder as being written.

        Raises:
            SpeckflexError: of the class of the folder's errors: it can't be written, or another
                process is writing it.
        """
        try:
            self._is_new = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            self._claim()
            for left in self.path.glob(".speckflex-run-*"):
                shutil.rmtree(left, ignore_errors=True)
            self._staging.mkdir()
        except OSError as error:
            self._release()
            raise self._failure(
                f"{self.path}: can't be written ({error.strerror}): choose another folder"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the mark, and what did not get its name."""
        shutil.rmtree(self._staging, ignore_errors=True)
        self._release()
        if self._is_new and error is not None:
            with suppress(OSError):  # it may hold files by now
                self.path.rmdir()

    def write(self, name: str, save: Callable[[Path], object]) -> None:
        """Have a file written; a failure waits until all other files are written.

        Args:
            name: of the file in the folder.
            save: writes the file to a path whose name is `name`.
        """
        try:
            save(self._staging / name)
        except SpeckflexError as error:
            message = str(error).replace(str(self._staging), str(self.path))
            self._failed.append(type(error)(message))
            self._lost.append(name)
        else:
            self._names.append(name)

    def finish(self, stale: tuple[str, ...] = ()) -> list[Path]:
        """Give all files their names, in the order in which they were written; return their paths.

        Args:
            stale: names of files that may lie in the folder from a run before, and are removed
                unless this run has written them.

        Raises:
            SpeckflexError: the first failure of `write`; the other files are in place.
        """
        try:
            for name in self._names:
                (self._staging / name).replace(self.path / name)
            for name in set(stale) - set(self._names) if not self._failed else ():
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            self._is_mixed = True
            raise self._failure(
                f"{error.filename2 or error.filename or self.path}: can't be written"
                f" ({error.strerror}): choose another folder"
            ) from error
        if self._failed:
            older = {*stale, *self._lost} - set(self._names)
            self._is_mixed = any((self.path / name).exists() for name in older if self._names)
            first = self._failed[0]
            raise type(first)(
                f"{first}; {len(self._names)} other files of the run are in {self.path}"
            ) from first
        return [self.path / name for name in self._names]

    @property
    def _staging(self) -> Path:
        return self.path / f".speckflex-run-{self.run}"

    def _claim(self) -> None:
        path = self.path / MARK
        if path.exists() and not path.is_file():
            raise self._failure(f"{path}: is no file: remove it, or choose another folder")
        while self._mark is None:
            mark = path.open("a+", encoding="utf-8")
            if not _locked_soon(mark):
                mark.seek(0)
                writer = mark.read(LONGEST_MARK).strip() or "another process"
                mark.close()
                raise self._failure(
                    f"{self.path}: {writer} is writing a run into it: wait for its end, or choose"
                    " another folder"
                )
            # the process before may have removed the file after it was opened here
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(mark.fileno()), path.stat()):
                    self._mark = mark
                    break
            mark.close()
        self._mark.seek(0)
        if self._mark.read(1):
            logger.warning(
                "%s: was left by a run that was ended while it worked, so that its files may be of"
                " two runs; this run replaces them",
                self.path,
            )
        self._mark.truncate(0)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._mark.write(f"process {os.getpid()}, run {self.run}, started {now}\n")
        self._mark.flush()

    def _release(self) -> None:
        if self._mark is not None:
            if not self._is_mixed:
                with suppress(OSError):
                    (self.path / MARK).unlink()
            self._mark.close()
            self._mark = None


def _locked_soon(file: Any) -> bool:
    for _ in range(TRIES):
        if lock(file):
            return True
        time.sleep(SECONDS_BETWEEN)
    return False


def new_run() -> str:
    """Return an identifier that no other run has."""
    return secrets.token_hex(NAME_DIGITS)


def unfinished(folder: str | Path) -> str:
    """Return a sentence about a folder whose run has not come to its end; "" about any other."""
    try:
        if not (Path(folder) / MARK).is_file():  # a pipe would never end
            return ""
        with (Path(folder) / MARK).open(encoding="utf-8") as mark:
            is_left = lock(mark)
            writer = printable(mark.read(LONGEST_MARK).strip()) or "a process"
    except (OSError, ValueError):
        return ""
    if is_left:
        return (
            f"{folder}: was left by a run that was ended while it worked ({writer}), so that its"
            " files may be of two runs: run it again"
        )
    return (
        f"{folder}: {writer} is writing a run into it, so that its files may be of a run before:"
        " wait for its end"
    )
