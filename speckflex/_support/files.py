"""What the suffix of a file's name promises to whoever reads it next."""

from __future__ import annotations

from pathlib import Path

__all__ = ["suffix_problem"]

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
        f"{str(path)!r} has the suffix of {promised}, and {PROMISES[suffix]} is written:"
        f" end its name in {suffix}"
    )
