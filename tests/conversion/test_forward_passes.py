"""Nothing of a user's forward pass vanishes: what a chip can't do is refused by file and line."""

import random
import re

import numpy as np
import pytest
import torch
from architectures import SHAPE, assert_plays_alike, conv, exact, iaf, middle
from torch import nn
from torch.nn import functional

from speckflex.conversion.convert import convert, convert_with_checks
from speckflex.errors import ConversionError


class Remembers(nn.Module):
    """Adds the last call's spikes."""

    def __init__(self):
        super().__init__()
        self.c1, self.n1, self.c2, self.n2 = conv(2, 2, 1), iaf(), conv(2, 2, 1), iaf()
        self.last = None

    def forward(self, x):
        x = self.n1(self.c1(x))
        if self.last is not None:
            x = x + self.last
        self.last = x.detach()
        return self.n2(self.c2(x))


class Gathers(Remembers):
    """Keeps the spikes of all calls in a list and adds the first ones."""

    def __init__(self):
        super().__init__()
        self.past = []

    def forward(self, x):
        x = self.n1(self.c1(x))
        self.past.append(x)
        if len(self.past) > 1:
            x = x + self.past[0]
        return self.n2(self.c2(x))


class Takes(Remembers):
    """Runs a second layer in every other call."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        x = self.n1(self.c1(x))
        return self.n2(self.c2(x)) if self.calls % 2 else x


class Feeds(Remembers):
    """Hands the spikes of one time step to the next within a call."""

    def forward(self, x):
        last, found = 0, []
        for step in x:
            last = self.n1(self.c1(step[None] if isinstance(last, int) else step[None] + last))
            found.append(last)
        return torch.cat(found)


def kills_border(x):
    x[:, :, :2] = 0
    return x


def kills_through_a_view(x):
    x[:, :, :2].zero_()
    return x


def kills_a_row_by_name(x):
    top = x[:, :, 0]
    top *= 0
    return x


def adds_under_another_name(x):
    y = x
    y += torch.ones(1)
    return x


def scaled_in_place_through_a_view(x):
    flat = x.view(-1)
    flat.mul_(2)
    return x


AT = r"\(\w+\.py, line \d+\)"

HIDDEN = {
    "state in an attribute": (
        Remembers,
        (
            rf"^the network: its forward pass keeps self\.last of Remembers {AT} from call to call:"
            rf" a second call runs torch's add, unlike the first {AT}: keep no state outside"
        ),
    ),
    "state in a list": (
        Gathers,
        rf"^the network: its forward pass keeps self\.past of Gathers {AT} from call to call",
    ),
    "every other call": (
        Takes,
        rf"^the network: its forward pass keeps self\.calls of Takes {AT} from call to call",
    ),
    "state within a call": (
        Feeds,
        r"^n1: random spikes give it .* first at time step 1, channel \d, y \d, x \d",
    ),
    "a branch on a sum": (
        middle(lambda x: x * 0 if x.sum() > 3 else x),
        (
            rf"^the network: its forward pass depends on values of its input {AT}: let it depend on"
            r" shapes alone$"
        ),
    ),
    "a branch on any": (
        middle(lambda x: x if (x > 0).any() else x[:, :1]),
        rf"depends on values of its input {AT}",
    ),
    "item": (
        middle(lambda x: x * (1 if x.max().item() < 1 else 2)),
        rf"depends on values of its input {AT}",
    ),
    "tolist": (
        middle(lambda x: x if x.flatten().tolist()[0] == 0 else 2 * x),
        rf"depends on values of its input {AT}",
    ),
    "a mask of values": (
        middle(lambda x: x[:, x.sum((0, 2, 3)) >= 0]),
        rf"depends on values of its input {AT}",
    ),
    "a shape from values": (
        middle(lambda x: x * max(1, len(x.nonzero()))),
        rf"depends on values of its input {AT}",
    ),
    "a written border": (middle(kills_border), rf"^c2: torch's setitem runs before it {AT}"),
    "a border written through a view": (
        middle(kills_through_a_view),
        (
            rf"its forward pass changes a tensor through another one that"
            rf" shares its memory {AT}: write into a copy: call clone\(\) first$"
        ),
    ),
    "a row written by another name": (
        middle(kills_a_row_by_name),
        rf"changes a tensor through another one that shares its memory {AT}",
    ),
    "a sum under another name": (
        middle(adds_under_another_name),
        rf"^c2: torch's add_ runs before it {AT}",
    ),
    "a product through a view": (
        middle(scaled_in_place_through_a_view),
        rf"changes a tensor through another one that shares its memory {AT}",
    ),
    "random numbers of torch": (
        middle(lambda x: x * torch.bernoulli(torch.full(x.shape, 0.5))),
        rf"its forward pass draws random numbers with torch's bernoulli {AT}: leave it out",
    ),
    "dropout that never stops": (
        middle(lambda x: functional.dropout(x, 0.5)),
        rf"draws random numbers with torch's dropout {AT}",
    ),
    "noise": (
        middle(lambda x: x + torch.rand_like(x)),
        rf"draws random numbers with torch's rand_like {AT}",
    ),
    "random numbers of Python": (
        middle(lambda x: x * (1 if random.random() < 2 else 0)),  # noqa: S311  what users write
        r"draws random numbers with Python's or numpy's generator",
    ),
    "random numbers of numpy": (
        middle(lambda x: x * float(np.random.rand() < 2)),  # noqa: NPY002  what users write
        r"draws random numbers with Python's or numpy's generator",
    ),
    "a swapped map": (
        middle(lambda x: x.transpose(2, 3)),
        rf"^c2: torch's transpose runs before it {AT}",
    ),
    "swapped channels": (
        middle(lambda x: x[:, [1, 0]]),
        rf"^c2: torch's getitem runs before it {AT}",
    ),
    "flipped": (middle(lambda x: x.flip(3)), rf"^c2: torch's flip runs before it {AT}"),
    "rolled": (middle(lambda x: torch.roll(x, 1, 2)), rf"^c2: torch's roll runs before it {AT}"),
    "a reshaped map": (
        middle(lambda x: x.reshape(x.shape[0], 2, 4, 16)),
        r"^c2: a map of 2 x 8 x 8 is reshaped to 2 x 4 x 16 before it",
    ),
    "a constant": (middle(lambda x: x + 1), rf"^c2: torch's add runs before it {AT}"),
    "cut to whole numbers": (
        middle(lambda x: x.int().float()),
        rf"^c2: torch's int runs before it {AT}",
    ),
    "a weight for each pixel": (
        middle(lambda x: x * torch.ones(8, 8)),
        rf"^c2: torch's mul runs before it {AT}",
    ),
    "a threshold as a function": (
        middle(lambda x: (x > 0).float()),
        rf"^c2: torch's gt runs before it {AT}",
    ),
    "clamped on both sides": (
        middle(lambda x: x.clamp(0, 1)),
        rf"^c2: torch's clamp runs before it {AT}",
    ),
    "max pool as a function": (
        middle(lambda x: functional.max_pool2d(x, 2)),
        rf"^max_pool2d {AT}: MaxPool2d is not on the chip",
    ),
    "steps added to each other": (
        middle(lambda x: x.cumsum(0)),
        rf"^c2: torch's cumsum runs before it {AT}",
    ),
    "steps that see each other": (
        middle(lambda x: x + x.roll(1, 0)),
        rf"^c2: torch's roll runs before it {AT}",
    ),
    "part of the channels": (
        middle(lambda x: x[:, :1].expand(-1, 2, -1, -1)),
        rf"^c2: torch's getitem runs before it {AT}",
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_nothing_of_a_forward_pass_vanishes(name):
    build, message = HIDDEN[name]
    with pytest.raises(ConversionError, match=message) as caught:
        convert(exact(build()), SHAPE)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("layer", ["c1", "n1"])
def test_a_hook_that_changes_what_a_layer_gives_is_seen(layer):
    network = exact(middle(lambda x: x)())
    network.get_submodule(layer).register_forward_hook(lambda _layer, _given, gave: gave * 2)
    with pytest.raises(ConversionError, match=r"^n[12]: random spikes give it .* first at time"):
        convert(network, SHAPE)


def test_a_number_that_counts_calls_is_a_warning():
    class Counts(Remembers):
        def forward(self, x):
            self.calls = getattr(self, "calls", 0) + 1
            return self.n2(self.c2(self.n1(self.c1(x))))

    checks = convert_with_checks(exact(Counts()), SHAPE).checks
    (found,) = [check for check in checks if check.rule == "state"]
    assert found.severity == "warning"
    assert re.match(rf"its forward pass changes self.calls of Counts {AT} with each", found.message)


def test_a_monitor_that_keeps_the_last_spikes_is_no_obstacle():
    class Watches(Remembers):
        def forward(self, x):
            self.seen = self.n1(self.c1(x))
            return self.n2(self.c2(self.seen))

    network = exact(Watches())
    assert_plays_alike(convert(network, SHAPE), network, SHAPE, each_step=True)


def test_a_forward_pass_with_more_arguments_says_that_they_keep_their_defaults():
    class Optional(Remembers):
        def forward(self, x, last=None):
            x = self.n1(self.c1(x))
            return self.n2(self.c2(x if last is None else x + last))

    checks = convert_with_checks(exact(Optional()), SHAPE).checks
    assert "also takes last" in next(c.message for c in checks if c.rule == "arguments")


def test_random_numbers_of_the_caller_stay_as_they_were():
    draws = middle(lambda x: x + torch.rand_like(x) + random.random())  # noqa: S311
    network = exact(draws())
    states = torch.get_rng_state(), random.getstate()
    with pytest.raises(ConversionError):
        convert(network, SHAPE)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
