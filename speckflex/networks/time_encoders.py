"""Networks that encode time: linear layers with leaky neurons, for sounds and sequences (A.12)."""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import pairwise

from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks.leaky import LeakySqueeze

__all__ = ["time_encoder"]

# Torch's own first weights leave deep leaky neurons silent; seen on the synthetic tones.
INITIAL_GAIN = 2.0


def time_encoder(
    *,
    input_shape: tuple[int, int, int],
    n_classes: int,
    width: int = 128,
    layers: int = 3,
    leak: float = 0.5,
    full_scale: float = 1.0,
) -> nn.Sequential:
    """Return linear layers with leaky neurons and a readout by potential (MTT, A.12).

    The defaults are the network for SHD and SSC on 70 inputs. Leaky neurons are not Speck's, so it
    runs in torch alone, and `speckflex check` says so.

    Args:
        input_shape: (channel, y, x) of a frame.
        n_classes: output features.
        width: neurons of each hidden layer.
        layers: number of hidden layers.
        leak: the share of a potential that is left after a step, 0 to 1.
        full_scale: the count of a frame that the network takes as 1; 255 for the pixels of images.

    Raises:
        NetworkError: a size is below 1, or leak or full scale is out of range.
    """
    n_inputs = math.prod(input_shape)
    if min(width, layers, n_classes, n_inputs) < 1 or not 0 < full_scale < math.inf:
        raise NetworkError(
            f"time encoder of {layers} layers of width {width} for {n_inputs} inputs, {n_classes}"
            f" classes and full scale {full_scale:g}: give numbers of at least 1"
        )
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if full_scale != 1:
        parts["scale"] = _fixed_scale(input_shape[0], 1 / full_scale)
    parts["flatten"] = nn.Flatten()
    for number, (size, out) in enumerate(pairwise([n_inputs, *[width] * layers]), start=1):
        linear = nn.Linear(size, out, bias=False)
        linear.weight.data *= INITIAL_GAIN
        parts |= {
            f"linear{number}": linear,
            f"spike{number}": LeakySqueeze(batch_size=1, leak=leak),
        }
    parts[f"linear{layers + 1}"] = nn.Linear(width, n_classes, bias=False)
    return nn.Sequential(parts)


def _fixed_scale(channels: int, factor: float) -> nn.Conv2d:
    scale = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
    scale.weight.data.fill_(factor)
    scale.weight.requires_grad_(False)
    return scale
