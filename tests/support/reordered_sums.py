"""A pytest plugin: convolutions and linear layers round differently for each batch size.

Libraries add up in an order that depends on the processor, the number of threads and the size of
the batch. Under this plugin every sum is made of two parts that depend on the size of the batch, so
a test that passes under it does not depend on the order (`make other-processors`).
"""

from functools import wraps

import torch
from torch.nn import functional


def in_two_parts(function):
    """Return a layer's function that adds up two parts, chosen by the size of the batch."""

    @wraps(function)
    def reordered(inputs, weight, bias=None, *rest, **options):
        if not isinstance(inputs, torch.Tensor):  # a tracer's stand-in
            return function(inputs, weight, bias, *rest, **options)
        generator = torch.Generator().manual_seed(inputs.shape[0])
        mask = torch.randint(0, 2, weight.shape, generator=generator).to(weight)
        first = function(inputs, weight * mask, bias, *rest, **options)
        return first + function(inputs, weight * (1 - mask), None, *rest, **options)

    return reordered


functional.conv2d = in_two_parts(functional.conv2d)
functional.linear = in_two_parts(functional.linear)
