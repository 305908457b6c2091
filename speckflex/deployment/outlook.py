"""What to expect of a chip before anyone uploads: whether cores keep up, and what chance does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex.analysis.core_load import measure_load

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.analysis.ensemble import Ensemble
    from speckflex.program.program import Program
    from speckflex.twin.settings import TwinSettings

__all__ = ["ensemble_facts", "load_facts"]


def load_facts(
    program: Program, events: Sequence[np.ndarray], settings: TwinSettings
) -> dict[str, Any]:
    """Return the entries "load" and "load_samples" of a report (see `measure_load`)."""
    loads = measure_load(program, list(events), settings=settings)
    return {"load": [layer.to_dict() for layer in loads], "load_samples": len(events)}


def ensemble_facts(ensemble: Ensemble, labels: np.ndarray) -> dict[str, Any]:
    """Return the entry "ensemble" of a report.

    Args:
        ensemble: of the first samples.
        labels: (sample,) int64, of these samples at least; negative where the class is unknown.
    """
    n_samples = ensemble.unperturbed.n_samples
    facts = ensemble.with_labels(labels[:n_samples]).to_dict()
    return {"ensemble": {**facts, "samples": n_samples}}
