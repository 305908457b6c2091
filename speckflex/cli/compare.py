"""`speckflex compare`: how far two or three recordings are apart, in spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from speckflex.cli.options import existing_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]
