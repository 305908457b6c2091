"""How much each core has to do in its busiest frame, with a gradient."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from speckflex.analysis.synops import count_taps
from speckflex.events.streams import MICROSECONDS_PER_SECOND, make_events
from speckflex.training._weight_layers import WeightLayer, weight_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from speckflex.program.program import Program
    from speckflex.program.records import Core

__all__ = ["busiest_loads"]


@contextmanager
def busiest_loads(
    network: nn.Module, program: Program, widths: torch.Tensor
) -> Iterator[list[torch.Tensor]]:
    """Yield a list that a forward pass fills with the load of each core in its busiest frame.

    An entry is (recording,): the synaptic operations per second of a core in the frame with the
    most, as a share of the rate that a core of the program's chip is taken to do
    (`Chip.synops_per_second`, unverified). On recorded spikes these are the operations of the
    program itself. The gradient goes to the spikes of the layer before.

    Args:
        network: a chain of layers on squeezed frames.
        program: what ran on the board.
        widths: (recording,) of one frame, µs.
    """
    loads: list[torch.Tensor] = []
    hooks = []
    limit = program.chip_record.synops_per_second
    per_second = MICROSECONDS_PER_SECOND / limit / widths
    try:
        for core, layer in zip(program.cores, weight_layers(network), strict=True):
            count = partial(_count, loads, per_second, core, layer)
            hooks.append(layer.module.register_forward_pre_hook(count))
        yield loads
    finally:
        for hook in hooks:
            hook.remove()


def _count(
    loads: list[torch.Tensor],
    per_second: torch.Tensor,
    core: Core,
    layer: WeightLayer,
    module: nn.Module,
    inputs: Any,
) -> None:
    values: torch.Tensor = inputs[0]
    # average pooling divides what arrives at the core one by one
    arriving = values.view(len(per_second), -1, *core.input_shape).sum(dim=2) * layer.pooled
    operations = (arriving * _taps(core).to(arriving)).sum(dim=(2, 3))
    loads.append(operations.max(dim=1).values * per_second.to(operations))


def _taps(core: Core) -> torch.Tensor:
    """Return (y, x): the neurons that an event at each place updates."""
    height, width = core.input_shape[1:]
    y, x = np.indices((height, width)).reshape(2, -1)
    zeros = np.zeros(y.size, np.int64)
    taps = count_taps(core, make_events(zeros, x, y, zeros))
    return torch.from_numpy(taps.reshape(height, width))
