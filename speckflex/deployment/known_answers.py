"""Known answers of a converted network, with the outputs of torch beside those of the twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.analysis.golden import make_golden

if TYPE_CHECKING:
    import numpy as np

    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.program.golden import Golden

__all__ = ["golden_of"]

BINS = 10  # time steps of the torch reference, as in a deployment


def golden_of(
    model: ConvertedModel, dataset: EventDataset, *, slow_clock: float | None = None
) -> Golden:
    """Return the known answers of a converted network to all samples of a data set.

    Args:
        model: the program, and its network.
        dataset: a few samples, on the program's input.
        slow_clock: Hz of the twin's slow clock; None for no clock.

    Raises:
        EventsError: the data set is empty, or does not have the program's input shape.
        BoardError: the program needs a slow clock.
    """
    samples = [events for events, _ in dataset]
    torch = _outputs(model, samples) if samples else None
    return make_golden(model.program, samples, torch=torch, slow_clock=slow_clock)


def _outputs(model: ConvertedModel, samples: list[np.ndarray]) -> np.ndarray | None:
    if model.network is None:
        return None
    from speckflex.deployment.torch_reference import TorchReference

    given = model.network if model.trained is None else model.trained
    folded = model.folding.layers if model.folding else ()
    norms = {layer.layer: layer.norms[-1] for layer in folded if layer.norms}
    played = TorchReference(given, model.program, bins=BINS, norms=norms).play(samples)
    return played.layer(-1).scores
