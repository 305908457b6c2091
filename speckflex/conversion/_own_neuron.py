"""Neuron layers with a forward pass of their own, held against sinabs' on random currents."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch

from speckflex._support.text import first_line
from speckflex.errors import ConversionError
from speckflex.networks.neurons import precharge_of

if TYPE_CHECKING:
    from speckflex.program.records import Shape

__all__ = ["check_spikes"]

N_STEPS = 8


@torch.no_grad()
def check_spikes(layer: Any, shape: Shape) -> None:
    """Check that a user's neuron layer spikes as sinabs' layer of the same settings does.

    Args:
        layer: derives from a layer of sinabs; stays as it is.
        shape: (channel, y, x) of the neurons.

    Raises:
        ConversionError: it spikes otherwise, or does not run; the message lacks the layer's name.
    """
    kind = type(layer).__name__
    remedy = "use sinabs' IAFSqueeze"
    # sinabs' deep copy calls the constructor, which is the user's.
    own: Any = copy.copy(layer)
    vars(own)["_buffers"] = {name: value.clone() for name, value in layer._buffers.items()}  # noqa: SLF001
    own.reset_states()
    plain = sl.IAF(
        spike_threshold=own.spike_threshold,
        min_v_mem=own.min_v_mem,
        spike_fn=own.spike_fn,
        reset_fn=own.reset_fn,
    )
    generator = torch.Generator().manual_seed(0)
    largest = float(torch.as_tensor(own.spike_threshold).max())
    currents = torch.randn((1, N_STEPS, *shape), generator=generator) * largest
    plain.v_mem = torch.zeros((1, *shape)) + precharge_of(layer)
    currents = currents.to(torch.as_tensor(own.spike_threshold).device)
    squeezed = isinstance(layer, sl.SqueezeMixin)
    if squeezed:
        own.batch_size, own.num_timesteps = 1, -1
    try:
        spikes = own(currents[0].clone() if squeezed else currents.clone())
    except Exception as error:
        raise ConversionError(
            f"{kind} has a forward pass of its own that does not run ({first_line(error)}):"
            f" {remedy}"
        ) from error
    expected = plain(currents)
    apart = (spikes.reshape(expected.shape) != expected)[0]
    if apart.any():
        step, *place = (int(index) for index in apart.nonzero()[0])
        raise ConversionError(
            f"{kind} has a forward pass of its own that spikes otherwise than sinabs' layer, first"
            f" at time step {step} of random currents, channel {place[0]}, y {place[1]}, x"
            f" {place[2]}: {remedy}"
        )
