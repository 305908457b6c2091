"""What to expect of a chip before anyone uploads: whether cores keep up, and what chance does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex.core_load import measure_load
from speckflex.ensemble import play_ensemble

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.perturbation import Perturbation
    from speckflex.program import Program

__all__ = ["ensemble_facts", "load_facts"]


def load_facts(program: Program, events: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the entries "load" and "load_samples" of a report (see `measure_load`)."""
    loads = measure_load(program, list(events))
    return {"load": [layer.to_dict() for layer in loads], "load_samples": len(events)}


def ensemble_facts(
    program: Program,
    events: Sequence[np.ndarray],
    labels: np.ndarray,
    *,
    n_plays: int,
    perturbation: Perturbation,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the entry "ensemble" of a report (see `play_ensemble`).

    Args:
        program: what runs on the twin.
        events: one structured array per sample.
        labels: (sample,) int64; negative where the class is unknown.
        n_plays: at least 2.
        perturbation: how the plays differ.
        seed: of all that is random.
    """
    ensemble = play_ensemble(program, events, n_plays, perturbation=perturbation, seed=seed)
    facts = ensemble.with_labels(labels[: len(events)]).to_dict()
    return {"ensemble": {**facts, "samples": len(events)}}
