"""Pictures drawn with matplotlib, which the package does not need otherwise."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from speckflex._support.extras import need_modules
from speckflex._support.files import write_whole
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ["new_picture", "save_picture"]


def new_picture(width: float, height: float) -> Figure:
    """Return an empty figure that a notebook shows by itself, and that no window holds.

    Args:
        width: inches.
        height: inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return _kind()(figsize=(width, height), layout="constrained")


@cache
def _kind() -> type[Figure]:
    need_modules("matplotlib", work="a plot")
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure of its own, which pyplot need not know."""

        def _repr_png_(self) -> bytes:
            stream = BytesIO()
            self.savefig(stream, format="png", dpi=100)
            return stream.getvalue()

    return Picture


def save_picture(picture: Figure, path: Path) -> Path:
    """Write a figure as PDF if the name ends so, else as SVG; return the path.

    The bytes are the same each time.

    Raises:
        FileFormatError: the file can't be written.
    """
    from matplotlib import rc_context

    # without the time of drawing, and with text that stays text
    settings: dict[Any, Any] = {"svg.hashsalt": "speckflex", "svg.fonttype": "none"}
    form, when = ("pdf", "CreationDate") if path.suffix.lower() == ".pdf" else ("svg", "Date")
    stream = BytesIO()
    with rc_context(settings):
        picture.savefig(stream, format=form, metadata={when: None})
    write_whole(path, stream.getvalue(), FileFormatError)
    return path
