"""Files: what the suffix of a name promises, and writing one whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speckflex.errors import SpeckflexError

__all__ = ["suffix_problem", "write_whole"]

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
    ".svg": "a picture",
}
# Most systems allow names of 255 bytes; a temporary name takes 40 characters of the target's.
SHARED_CHARACTERS = 40
REMEDIES = {
    errno.ENOSPC: "free some space, or choose another folder",
    errno.EDQUOT: "free some space, or choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "choose the name of a file",
}


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
    target = Path(os.path.realpath(path))
    try:
        if target.is_file() or target.is_dir() or not Path(path).exists():
            _replace(target, data)
        else:
            Path(path).write_bytes(data)
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "choose another folder")
        raise failure(f"{path}: can't be written ({error.strerror or error}): {remedy}") from error


def _replace(target: Path, data: bytes) -> None:
    unique = f"{target.name[:SHARED_CHARACTERS]}.{secrets.token_hex(8)}.partial"
    partial = target.parent / unique
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            # without this, a name may outlive a crash of the machine and its content not
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        # an interrupt may come at any point; where nothing was made there is nothing to remove
        with contextlib.suppress(OSError):
            partial.unlink()
