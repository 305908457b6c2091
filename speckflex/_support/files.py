"""Files: what the suffix of a name promises, and writing one whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import io
import os
import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speckflex._support.locks import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.errors import SpeckflexError

__all__ = ["WholeFile", "hash_file", "suffix_problem", "write_whole", "writing_whole"]

# Other suffixes promise nothing.
PROMISES = {
    ".pt": "a torch network",
    ".pth": "a torch network",
    ".speck": "a speckflex program",
    ".nir": "a NIR graph",
    ".onnx": "an ONNX graph",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".keras": "a Keras model",
    ".safetensors": "bare tensors",
    ".npy": "a numpy array",
    ".npz": "numpy arrays",
    ".json": "JSON",
    ".csv": "a table",
    ".html": "a page",
    ".svg": "SVG",
    ".pdf": "PDF",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
}
# Most systems allow names of 255 bytes; a temporary name takes 40 characters of the target's.
SHARED_CHARACTERS = 40
SECONDS_TO_LOCK = 60
REMEDIES = {
    errno.ENOSPC: "free some space, or choose another folder",
    errno.EDQUOT: "free some space, or choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "choose the name of a file",
}


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content; "" where there is no plain file."""
    digest = hashlib.sha256()
    try:
        if not path.is_file():  # reading a pipe again would wait for ever
            return ""
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def suffix_problem(path: str | Path, suffix: str) -> str:
    """Return a sentence if a name promises another format than that of `suffix`; else nothing.

    Args:
        path: of a file that is to be written.
        suffix: of the format that is written, such as ".pt".
    """
    promised = PROMISES.get(Path(path).suffix.lower())
    if promised in {None, PROMISES[suffix]}:
        return ""
    return (
        f"{str(path)!r} has the suffix of {promised}, but {PROMISES[suffix]} is written:"
        f" end its name in {suffix}"
    )


def write_whole(path: str | Path, content: bytes | str, failure: type[SpeckflexError]) -> None:
    """Write a file so that its name has the old content or the whole new content, never a part.

    The content goes to a temporary file in the same folder, which takes the name once all of it
    is on the disk. The temporary name is never the same twice, so that two processes that write
    the same file don't disturb each other: the later one wins. A link stays and its target is
    replaced. A device or a pipe, such as /dev/stdout, is written to as it is.

    Args:
        path: of the file.
        content: all of it; text is written as UTF-8.
        failure: the class of the error.

    Raises:
        SpeckflexError: of the class `failure`; the file can't be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing_whole(path, failure) as file:
        file.write(data)


@contextmanager
def writing_whole(path: str | Path, failure: type[SpeckflexError]) -> Iterator[WholeFile]:
    """Yield an open file for content that comes in parts; at the end of the block it has the name.

    All else is as for `write_whole`. An error in the block leaves the old content.

    Args:
        path: of the file.
        failure: the class of the error.

    Raises:
        SpeckflexError: of the class `failure`; the file can't be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_file() or target.is_dir() or not Path(path).exists():
            with _replacing(target) as file:
                yield file
        else:
            file = WholeFile(io.BytesIO())
            yield file
            Path(path).write_bytes(file.disk.getvalue())
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "choose another folder")
        raise failure(f"{path}: can't be written ({error.strerror or error}): {remedy}") from error


class WholeFile:
    """An open file that keeps the first error of the disk for the end.

    HDF5 may end the process if it can't write, so it never learns of it: what it writes after an
    error goes nowhere, and reads give zeros.

    Args:
        disk: the file itself.
    """

    def __init__(self, disk: Any) -> None:
        self.disk = disk
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write some bytes, or remember why not; return their number in any case."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left and self.error is None:
                left = left[self.disk.write(left) :]
        except OSError as error:
            self.error = error
        return size

    def read(self, size: int) -> bytes:
        """Return bytes that were written, zeros behind them."""
        content = bytearray(size)
        self.readinto(content)
        return bytes(content)

    def readinto(self, buffer: Any) -> int:
        """Read bytes that were written, zeros behind them."""
        view = memoryview(buffer).cast("B")
        n_read = 0
        if self.error is None:
            n_read = self.disk.readinto(view)
        view[n_read:] = bytes(len(view) - n_read)
        return len(view)

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place, as files do."""
        return self.disk.seek(place, whence)

    def tell(self) -> int:
        """Return the place."""
        return self.disk.tell()

    def truncate(self, size: int) -> int:
        """Cut or extend the file, or remember why not."""
        if self.error is None:
            try:
                self.disk.truncate(size)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Hand over to the system what was written, or remember why not."""
        if self.error is None:
            try:
                self.disk.flush()
            except OSError as error:
                self.error = error


def _remove_left(target: Path) -> None:
    """Remove the parts that processes left which were ended while they wrote the same file."""
    for left in target.parent.glob(f"{glob.escape(target.name[:SHARED_CHARACTERS])}.*.partial"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            age = time.time() - os.fstat(file.fileno()).st_mtime
            # a writer that lives has a lock, but not at the very beginning
            if age > SECONDS_TO_LOCK and lock(file):
                left.unlink()


@contextmanager
def _replacing(target: Path) -> Iterator[WholeFile]:
    unique = f"{target.name[:SHARED_CHARACTERS]}.{secrets.token_hex(8)}.partial"
    partial = target.parent / unique
    try:
        # no buffer, which would try again to write what did not fit when the file is closed
        with partial.open("xb+", buffering=0) as disk:
            lock(disk)
            file = WholeFile(disk)
            try:
                yield file
            except Exception:
                # HDF5 fails in its own way after an error of the disk
                if file.error is None:
                    raise
                raise file.error from None
            if file.error is not None:
                raise file.error
            # without this, a name may outlive a crash of the machine and its content not
            os.fsync(disk.fileno())
        partial.replace(target)
        _remove_left(target)
    finally:
        # an interrupt may come at any point; where nothing was made there is nothing to remove
        with contextlib.suppress(OSError):
            partial.unlink()
