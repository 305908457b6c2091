"""A program played in time steps with numpy alone, and torch networks it can be held against.

Networks made here have integer weights of which the largest is 127, so that 8 bits express them
exactly: then a program must spike just as the torch network it came from does.
"""

from itertools import product

import numpy as np
import torch
from sinabs.activation import MembraneReset, MembraneSubtract
from sinabs.layers import IAFSqueeze
from torch import nn


def play_steps(program, frames):
    """Return per layer the (time, channel, y, x) spikes of a program at all frames.

    All that arrives in one step is summed before the neurons are looked at, and a neuron fires
    as often as its potential holds the threshold, as sinabs' MultiSpike does.
    """
    inputs = [np.zeros((len(frames), *core.input_shape), dtype=int) for core in program.cores]
    stage = program.input
    entering = staged(stage, np.asarray(frames, dtype=int))
    for destination in stage.destinations:
        first = destination.feature_shift
        inputs[destination.core][:, first : first + entering.shape[1]] += entering
    spikes = []
    for core, arriving in zip(program.cores, inputs, strict=True):
        fired = fire(core, np.array([convolved(core, frame) for frame in arriving]))
        spikes.append(fired)
        for destination in core.destinations:
            pooled = summed(fired, (destination.pooling, destination.pooling))
            first = destination.feature_shift
            inputs[destination.core][:, first : first + pooled.shape[1]] += pooled
    return spikes


def staged(stage, frames):
    """Return the frames behind the input stage, in the datasheet's order of steps."""
    if stage.merge_polarities:
        frames = frames.sum(1, keepdims=True)
    frames = summed(frames, stage.pooling)
    (top, left), (height, width) = stage.origin, stage.region
    frames = frames[:, :, top : top + height, left : left + width]
    frames = frames[:, :, ::-1] if stage.mirror_y else frames
    frames = frames[..., ::-1] if stage.mirror_x else frames
    return frames.swapaxes(2, 3) if stage.swap_xy else frames


def summed(frames, window):
    """Return sums over (y, x) windows; what the windows leave over is dropped."""
    y, x = frames.shape[2] // window[0], frames.shape[3] // window[1]
    cut = frames[:, :, : y * window[0], : x * window[1]]
    return cut.reshape(*frames.shape[:2], y, window[0], x, window[1]).sum((3, 5))


def convolved(core, frame):
    """Return the (out, y, x) sums of one frame, tap by tap."""
    out, _, kernel_y, kernel_x = core.weights.shape
    pad_y, pad_x = core.padding
    padded = np.pad(frame, ((0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    sums = np.zeros(core.output_shape, dtype=int)
    for o, y, x in product(*map(range, core.output_shape)):
        at_y, at_x = y * core.stride[0], x * core.stride[1]
        window = padded[:, at_y : at_y + kernel_y, at_x : at_x + kernel_x]
        sums[o, y, x] = (window * core.weights[o].astype(int)).sum()
    assert out == len(sums)
    return sums


def fire(core, currents):
    """Return the spikes that currents (time, channel, y, x) make."""
    potential = np.zeros(core.output_shape, dtype=int)
    if core.initial_state is not None:
        potential += core.initial_state
    spikes = []
    for current in currents:
        potential = potential + current
        fired = np.maximum(potential // core.threshold_high, 0)
        left = potential - fired * core.threshold_high
        potential = np.where(fired > 0, 0, potential) if core.return_to_zero else left
        potential = np.maximum(potential, core.threshold_low)
        spikes.append(fired)
    return np.array(spikes)


def neuron(threshold=200, low=-300, *, reset_to_zero=False):
    """Return a plain spiking layer with integer thresholds."""
    reset = MembraneReset() if reset_to_zero else MembraneSubtract()
    return IAFSqueeze(
        batch_size=1, spike_threshold=float(threshold), min_v_mem=float(low), reset_fn=reset
    )


def exact_weights(network, factors=None, seed=0):
    """Give every weight layer random integers, the largest 127, times its factor.

    `factors` says per layer name by how much average pooling in front of it divides.
    """
    random = np.random.default_rng(seed)
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            weights = random.integers(-100, 127, module.weight.shape)
            weights[random.random(weights.shape) < 0.3] = 0
            weights.flat[random.integers(weights.size)] = 127
            factor = (factors or {}).get(name, 1)
            module.weight.data = torch.tensor(weights * factor, dtype=torch.float32)
    return network


def torch_spikes(network, names, frames):
    """Return the (time, channel, y, x) outputs of the named layers for all frames."""
    found = {}
    modules = dict(network.named_modules())
    handles = [
        modules[name].register_forward_hook(
            lambda *call, name=name: found.__setitem__(name, call[-1].detach())
        )
        for name in names
    ]
    for module in modules.values():
        if hasattr(module, "reset_states"):
            module.reset_states()
    with torch.no_grad():
        network(torch.tensor(frames, dtype=torch.float32))
    for handle in handles:
        handle.remove()
    return [found[name].reshape(len(frames), *found[name].shape[1:]).numpy() for name in names]


def random_frames(shape, steps=8, seed=1):
    """Return (time, channel, y, x) small event counts."""
    return np.random.default_rng(seed).poisson(0.3, (steps, *shape))


def assert_same_spikes(network, program, frames):
    """Hold every layer of a program against the torch layer it is named after."""
    names = [core.neuron_name for core in program.cores if core.readout == "spikes"]
    expected = torch_spikes(network, names, frames)
    played = [
        spikes
        for core, spikes in zip(program.cores, play_steps(program, frames), strict=True)
        if core.readout == "spikes"
    ]
    assert sum(spikes.sum() for spikes in played) > 0
    for name, ours, theirs in zip(names, played, expected, strict=True):
        np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs, err_msg=name)
