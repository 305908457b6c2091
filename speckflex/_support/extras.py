"""The packages that only a part of the work needs, by the extra that installs them."""

from __future__ import annotations

from importlib.util import find_spec

from speckflex.errors import MissingExtraError

__all__ = ["EXTRAS", "explain_missing", "need_modules"]

# The extra of pyproject.toml that brings each module.
EXTRAS = {
    "torch": "torch",
    "sinabs": "torch",
    "lightning_fabric": "torch",
    "tonic": "data",
    "onnx": "onnx",
    "matplotlib": "plots",
    "optuna": "sweep",
    "tensorboard": "log",
    "torchvision": "vision",
    "wandb": "wandb",
    "lz4": "aedat4",
    "zstandard": "aedat4",
    "hdf5plugin": "hdf5",
}


def need_modules(*modules: str, work: str) -> None:
    """Refuse a work if a module of an extra is not installed.

    Args:
        modules: keys of `EXTRAS`.
        work: what needs them, as the message begins.

    Raises:
        MissingExtraError: says what to install.
    """
    missing = next((module for module in modules if not _is_installed(module)), None)
    if missing is not None:
        raise _missing(missing, work)


def explain_missing(error: ModuleNotFoundError, work: str) -> MissingExtraError | None:
    """Return what to install after a failed import; None if no extra has the module.

    Args:
        error: of the import.
        work: what needs the module, as the message begins.
    """
    module = (error.name or "").partition(".")[0]
    return _missing(module, work) if module in EXTRAS else None


def _missing(module: str, work: str) -> MissingExtraError:
    remedy = f"pip install 'speckflex[{EXTRAS[module]}]'"
    return MissingExtraError(f"{work} needs {module}, which is not installed: {remedy}")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # the latter where a test put None or an empty module
        return False
