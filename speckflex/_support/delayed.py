"""Imports of other packages that are put off until their module is used."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["delay_import"]


def delay_import(name: str) -> None:
    """Let the import of a module take no time; it is loaded when an attribute of it is read.

    The standard library's LazyLoader would load it at the first look at `__file__`, and torch
    looks at that of all modules.

    Args:
        name: of a top-level module; one that is loaded or not installed stays so.
    """
    if name not in sys.modules and find_spec(name) is not None:
        sys.modules[name] = _Delayed(name)


class _Delayed(ModuleType):
    """Stands for a module until something of it is used."""

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {attribute!r} yet")
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        module = import_module(self.__name__)
        if attribute == "__all__" and not hasattr(module, attribute):
            # what `from module import *` takes
            return [name for name in dir(module) if not name.startswith("_")]
        return getattr(module, attribute)
