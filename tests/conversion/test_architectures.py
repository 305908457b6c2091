"""Users' architectures spike on the twin as their own forward pass does, at one event a step."""

import pytest
import sinabs.layers as sl
import torch
from architectures import (
    SHAPE,
    Block,
    Own,
    assert_plays_alike,
    branches,
    chain,
    conv,
    exact,
    iaf,
    in_two,
    linear,
    own,
    row,
    timed,
    two,
)
from sinabs.activation import MaxSpike, SingleSpike
from torch import nn
from torch.nn import functional

from speckflex.conversion.convert import convert
from speckflex.networks.fold import fold_batchnorm
from speckflex.samna_access import load_samna

load_samna()
from sinabs.backend.dynapcnn.dvs_layer import DVSLayer  # noqa: E402  needs samna's name to exist


def residual(add):
    def run(self, x):
        a = self.first(x)
        return self.last(add(self, a, self.second(a)).flatten(1))

    return own(
        run,
        first=lambda: Block(2, 3),
        second=lambda: Block(3, 3),
        last=lambda: row(linear(192, 4), iaf()),
        merge=sl.Merge,
    )


def by_steps(self, x):
    return torch.cat([self.n3(self.fc(self.n1(self.c1(step[None])).flatten(1))) for step in x])


def batch_and_time(self, x):
    batch, time = x.shape[:2]
    x = self.n1(self.c1(x.flatten(0, 1)))
    x = self.n3(self.fc(x.reshape(batch * time, -1)))
    return x.unflatten(0, (batch, time))


def time_first(self, x):
    x = x.transpose(0, 1)
    steps = [self.n3(self.fc(self.n1(self.c1(step)).flatten(1))) for step in x]
    return torch.stack(steps).transpose(0, 1)


def weight_functions(self, x):
    x = self.n1(functional.conv2d(x, self.c1.weight, padding=1))
    return self.n3(functional.linear(torch.flatten(x, 1), self.fc.weight))


def in_place_sum(self, x):
    x = self.first(x)
    y = self.second(x)
    y += x
    return self.last(y.flatten(1))


FOUR = {"2": 4, "3": 4, "4": 4, "5": 4, "fc": 4}


# name: (network, input shape, factors of the weights behind average pools, axes before a frame)
EQUAL = {
    "a plain chain": (two, SHAPE),
    "nested rows": (
        lambda: row(row(conv(2, 3, 3), row(iaf())), row(nn.Flatten(), row(linear(108, 4), iaf()))),
        SHAPE,
    ),
    "modules of one's own in a row": (lambda: row(Block(2, 3), Block(3, 4)), SHAPE),
    "identity and dropout": (lambda: two(nn.Identity(), nn.Dropout2d(), nn.Dropout(0.3)), SHAPE),
    "an unused layer": (chain(lambda net, x: net.n1(net.c1(x))), SHAPE),
    "sum pool": (lambda: two(sl.SumPool2d(2)), SHAPE),
    "average pool": (lambda: two(nn.AvgPool2d(2)), SHAPE, {"3": 4}),
    "average pool with a stride": (lambda: two(nn.AvgPool2d(2, stride=2)), SHAPE, {"3": 4}),
    "average pool by another divisor": (lambda: two(nn.AvgPool2d(2, divisor_override=1)), SHAPE),
    "average pool that leaves an edge": (lambda: two(nn.AvgPool2d(2)), (2, 9, 7), {"3": 4}),
    "average pool to a size": (lambda: two(nn.AdaptiveAvgPool2d(4)), SHAPE, {"3": 4}),
    "two pools in a row": (lambda: two(nn.AvgPool2d(2), sl.SumPool2d(2)), SHAPE, {"4": 4}),
    "oblong pools that make a square": (
        lambda: two(sl.SumPool2d((2, 1)), sl.SumPool2d((1, 2))),
        SHAPE,
    ),
    "a pool in front": (lambda: row(sl.SumPool2d(2), conv(2, 3, 3), iaf()), (2, 12, 12)),
    "an oblong pool in front": (
        lambda: row(nn.AvgPool2d((1, 2)), conv(2, 3, 3), iaf()),
        (2, 8, 16),
        {"1": 2},
    ),
    "a pool behind the last neurons": (lambda: row(*two(), nn.AvgPool2d(2)), SHAPE),
    "voting behind the last neurons": (
        lambda: row(nn.Flatten(), linear(128, 12), iaf(), nn.AvgPool1d(3)),
        SHAPE,
    ),
    "a camera layer": (
        lambda: row(
            DVSLayer((16, 16), pool=(2, 2), merge_polarities=True, flip_x=True),
            conv(1, 3, 3),
            iaf(),
        ),
        (2, 16, 16),
    ),
    "a camera layer that crops": (
        lambda: row(
            DVSLayer((16, 16), crop=((2, 10), (4, 12)), swap_xy=True), conv(2, 3, 3), iaf()
        ),
        (2, 16, 16),
    ),
    "stride and padding": (
        lambda: row(conv(2, 4, 3, stride=2, padding=1), iaf(), conv(4, 2, 2, padding=1), iaf()),
        SHAPE,
    ),
    "stride by axis": (lambda: row(conv(2, 4, 3, stride=(1, 2), padding=1), iaf()), SHAPE),
    "padding by axis": (lambda: row(conv(2, 4, 3, padding=(2, 0)), iaf()), SHAPE),
    "padding that keeps the size": (
        lambda: row(conv(2, 4, 3, padding="same"), iaf(), conv(4, 2, 4, padding="same"), iaf()),
        SHAPE,
    ),
    "an oblong kernel": (
        lambda: row(
            conv(2, 4, (1, 5), padding=(0, 2)), iaf(), conv(4, 2, (5, 1), padding=(2, 0)), iaf()
        ),
        SHAPE,
    ),
    "an oblong kernel with a stride": (lambda: row(conv(2, 4, (2, 3), stride=2), iaf()), SHAPE),
    "an oblong map": (lambda: two(sl.SumPool2d(2)), (2, 6, 12)),
    "an oblong map into a linear layer": (
        lambda: row(conv(2, 2, 3, padding=1), iaf(), nn.Flatten(), linear(96, 4), iaf()),
        (2, 4, 12),
    ),
    "a dilated kernel": (lambda: row(conv(2, 4, 3, dilation=2), iaf()), SHAPE),
    "groups": (lambda: row(conv(2, 4, 3, groups=2), iaf(), conv(4, 4, 3, groups=2), iaf()), SHAPE),
    "depthwise and pointwise": (
        lambda: row(conv(2, 4, 3), iaf(), conv(4, 4, 3, groups=4), iaf(), conv(4, 6, 1), iaf()),
        SHAPE,
    ),
    "linear layers alone": (
        lambda: row(nn.Flatten(), linear(128, 9), iaf(), linear(9, 4), iaf()),
        SHAPE,
    ),
    "channels without a map": (lambda: row(nn.Flatten(), linear(16, 9), iaf()), (16, 1, 1)),
    "flattened and unflattened": (
        lambda: row(
            conv(2, 3, 3), iaf(), nn.Flatten(), nn.Unflatten(1, (3, 6, 6)), conv(3, 2, 3), iaf()
        ),
        SHAPE,
    ),
    "one output": (lambda: row(nn.Flatten(), linear(128, 1), iaf()), SHAPE),
    "no neurons at the end": (
        lambda: row(conv(2, 3, 3), iaf(), nn.Flatten(), linear(108, 4)),
        SHAPE,
    ),
    "thresholds of their own": (
        lambda: row(conv(2, 3, 3), iaf(300.0), conv(3, 2, 3), iaf(130.0)),
        SHAPE,
    ),
    "one spike a step": (lambda: row(conv(2, 3, 3), iaf(spike_fn=SingleSpike)), SHAPE),
    "two spikes a step at most": (lambda: row(conv(2, 3, 3), iaf(spike_fn=MaxSpike(2))), SHAPE),
    "a weight times a number": (
        in_two(lambda _, x: functional.avg_pool2d(x, 2).flatten(1) * 4),
        SHAPE,
    ),
    "a number in front of a layer": (
        in_two(lambda _, x: (2 * net_pool(x)).flatten(1) / 2),
        SHAPE,
        {"fc": 4},
    ),
    "potentials times a number": (
        lambda: Own(lambda net, x: net.n(net.c(x) * 2), c=conv(2, 3, 3), n=iaf(254.0)),
        SHAPE,
    ),
    "a residual merged by a layer": (residual(lambda net, a, b: net.merge(a, b)), SHAPE),
    "a residual merged by a plus": (residual(lambda _, a, b: a + b), SHAPE),
    "a residual added by torch": (residual(lambda _, a, b: torch.add(b, a)), SHAPE),
    "a residual added in place": (
        own(
            in_place_sum,
            first=lambda: Block(2, 3),
            second=lambda: Block(3, 3),
            last=lambda: row(linear(192, 4), iaf()),
        ),
        SHAPE,
    ),
    "two heads": (
        own(lambda net, x: (net.a(x), net.b(x)), a=lambda: Block(2, 3), b=lambda: Block(2, 2)),
        SHAPE,
    ),
    "channels side by side": (branches(lambda _, a, b: torch.cat((a, b), dim=1), 384), SHAPE),
    "channels side by side from behind": (
        branches(lambda _, a, b: torch.cat((b, a), dim=-3), 384),
        SHAPE,
    ),
    "rows side by side": (
        branches(lambda _, a, b: torch.cat((a.flatten(1), b.flatten(1)), -1), 384),
        SHAPE,
    ),
    "channels side by side, pooled": (
        branches(lambda net, a, b: net.pool(torch.cat((a, b), 1)), 96),
        SHAPE,
    ),
    "side by side with a pool on each": (
        branches(lambda net, a, b: torch.cat((net.pool(a), net.pool(b)), 1), 96),
        SHAPE,
    ),
    "view": (
        in_two(lambda _, x: functional.avg_pool2d(x, 2, divisor_override=1).view(x.size(0), -1)),
        SHAPE,
    ),
    "flatten and reshape": (
        in_two(lambda _, x: torch.flatten(functional.avg_pool2d(x, 2, 2), 1).reshape(len(x), 48)),
        SHAPE,
        {"fc": 4},
    ),
    "mean over the map": (
        chain(
            lambda net, x: net.n3(
                net.fc(functional.adaptive_avg_pool2d(net.n1(net.c1(x)), 2).flatten(1))
            ),
            width=12,
        ),
        SHAPE,
        {"fc": 16},
    ),
    "sum over the map": (
        chain(lambda net, x: net.n3(net.fc(net.n1(net.c1(x)).sum((2, 3)))), width=3),
        (2, 4, 4),
    ),
    "average over the map": (
        chain(lambda net, x: net.n3(net.fc(net.n1(net.c1(x)).mean((-2, -1)))), width=3),
        (2, 4, 4),
        {"fc": 16},
    ),
    "functions with a layer's weights": (chain(weight_functions, width=192), SHAPE),
    "a matrix product": (
        chain(lambda net, x: net.n3(net.n1(net.c1(x)).flatten(1) @ net.fc.weight.t()), width=192),
        SHAPE,
    ),
    "a sum by Python": (residual(lambda _, a, b: sum([a, b])), SHAPE),
    "dropout as a function": (
        in_two(
            lambda net, x: functional.dropout(
                functional.avg_pool2d(x, 2).flatten(1), 0.5, net.training
            )
        ),
        SHAPE,
        {"fc": 4},
    ),
    "relu behind neurons": (
        in_two(lambda _, x: functional.relu(functional.avg_pool2d(x, 2)).flatten(1)),
        SHAPE,
        {"fc": 4},
    ),
    "a loop over time": (chain(by_steps, width=192), SHAPE),
    "batch and time, flattened": (chain(batch_and_time, width=192), SHAPE, {}, (1, -1)),
    "batch and time, neurons over time": (
        lambda: row(
            sl.FlattenTime(),
            conv(2, 3, 3),
            sl.UnflattenTime(batch_size=1),
            timed(),
            sl.FlattenTime(),
            nn.Flatten(),
            linear(108, 4),
            sl.UnflattenTime(batch_size=1),
            timed(),
        ),
        SHAPE,
        {},
        (1, -1),
    ),
    "layers repeated over time": (
        lambda: row(sl.Repeat(conv(2, 3, 3)), timed(), nn.Flatten(2), linear(108, 4), timed()),
        SHAPE,
        {},
        (1, -1),
    ),
    "a loop over time, time first": (chain(time_first, width=192), SHAPE, {}, (1, -1)),
    "summed spikes": (chain(lambda net, x: net.n1(net.c1(x)).sum(0)), SHAPE),
    "soft-max at the end": (
        chain(lambda net, x: torch.softmax(net.n1(net.c1(x)).flatten(1), 1)),
        SHAPE,
    ),
}


def net_pool(x):
    return functional.avg_pool2d(x, 2)


@pytest.mark.parametrize("name", EQUAL)
def test_an_architecture_spikes_as_its_own_forward_pass(name):
    given = EQUAL[name]
    build, shape, factors, leading = (*given, *({}, (-1,))[len(given) - 2 :])
    network = exact(build(), factors)
    program = convert(network, shape, chip="unbounded")
    assert_plays_alike(program, network, shape, leading=leading)


@pytest.mark.parametrize(
    "name", ["a plain chain", "a residual merged by a plus", "a loop over time"]
)
def test_one_call_a_step_spikes_as_all_steps_in_one_call(name):
    build, shape = EQUAL[name]
    network = exact(build())
    assert_plays_alike(convert(network, shape), network, shape, each_step=True)


def with_norm(channels, *, before, after):
    """Return layers with a batch norm whose means are 0, and whose gains are 1 or 2, exactly."""
    norm = nn.BatchNorm2d(channels, eps=0.0)
    norm.running_var[::2] = 0.25
    return row(*before, norm, *after), norm


def test_a_network_with_batch_norm_spikes_as_its_own_forward_pass_once_folded():
    network, norm = with_norm(4, before=(conv(2, 4, 3),), after=(iaf(), conv(4, 2, 3), iaf()))
    exact(network)
    # Halved where the norm doubles, so that 8 bits hold the folded weights.
    network[0].weight.data /= norm.running_var.rsqrt().reshape(-1, 1, 1, 1)
    folded = fold_batchnorm(network, input_shape=SHAPE)
    assert_plays_alike(convert(folded, SHAPE), network, SHAPE)
