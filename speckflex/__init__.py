"""Spiking networks from PyTorch to SynSense's Speck, with a twin and an honest difference."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from speckflex.version import __version__

if TYPE_CHECKING:
    from speckflex.boards import Board, open_board
    from speckflex.compare import Difference, compare
    from speckflex.convert import convert
    from speckflex.errors import SpeckflexError
    from speckflex.event_filter import EventFilter
    from speckflex.fold import fold_batchnorm
    from speckflex.network import load_network
    from speckflex.program import Core, Destination, InputStage, Program
    from speckflex.recording import Recording
    from speckflex.timesteps import group_boundaries

# Names are loaded at first use: `import speckflex` pulls in neither torch nor numba nor samna.
_PUBLIC = {
    "Board": "boards",
    "Core": "program",
    "Destination": "program",
    "Difference": "compare",
    "EventFilter": "event_filter",
    "InputStage": "program",
    "Program": "program",
    "Recording": "recording",
    "SpeckflexError": "errors",
    "compare": "compare",
    "convert": "convert",
    "fold_batchnorm": "fold",
    "group_boundaries": "timesteps",
    "load_network": "network",
    "open_board": "boards",
}

__all__ = [
    "Board",
    "Core",
    "Destination",
    "Difference",
    "EventFilter",
    "InputStage",
    "Program",
    "Recording",
    "SpeckflexError",
    "__version__",
    "compare",
    "convert",
    "fold_batchnorm",
    "group_boundaries",
    "load_network",
    "open_board",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'speckflex' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"speckflex.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps `speckflex.convert` and the like the functions, not the modules of that name.

    An import of a submodule sets it as an attribute of its package, over the public name.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
