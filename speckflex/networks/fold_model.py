"""Folding of a model, from its file to a network: `speckflex fold`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from speckflex.networks.files import load_network
from speckflex.networks.fold import fold_batchnorm

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.program.records import Shape

__all__ = ["fold"]


def fold(model: str | Path | nn.Module, *, input_shape: Shape | None = None) -> nn.Module:
    """Return the network of a model without batch norms and biases: `speckflex fold`.

    Args:
        model: a `.pt` or `.nir` file, or a network in memory, which stays as it is.
        input_shape: (channel, y, x) of the events, to prove that the outputs are those of the
            network without means and biases; None to skip the proof.

    Raises:
        NetworkError: the model can't be read, or a norm can't be folded.
    """
    network = load_network(model) if not isinstance(model, nn.Module) else model
    return fold_batchnorm(network, input_shape=input_shape)
