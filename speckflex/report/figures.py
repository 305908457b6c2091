"""The data of a page's pictures, cut down to what an eye can take in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from speckflex.program import Program
    from speckflex.recording import Recording
    from speckflex.report.roles import Comparison

__all__ = ["collect_figures"]


def collect_figures(
    program: Program | None,
    recordings: Mapping[str, Recording],
    comparisons: Sequence[Comparison],
    input_events: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Return what the pictures show, by picture."""
    return {}
