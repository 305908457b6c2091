"""Locks on open files, which the system frees when a process ends, in whatever way."""

from __future__ import annotations

from typing import Any

try:
    import fcntl
except ImportError:  # on Windows, where nothing is locked
    fcntl = None

__all__ = ["lock"]


def lock(file: Any) -> bool:
    """Return whether this process has an open file to itself until it is closed."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
