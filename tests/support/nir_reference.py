"""NIR's equations written out with loops over numpy, for files whose writer has no simulator."""

from __future__ import annotations

import numpy as np


def convolve(frame: np.ndarray, weight: np.ndarray, padding: int) -> np.ndarray:
    """Return the (out, y, x) currents of one (in, y, x) frame at stride 1."""
    padded = np.pad(frame, ((0, 0), (padding, padding), (padding, padding)))
    kernel = weight.shape[2]
    rows, columns = (size - kernel + 1 for size in padded.shape[1:])
    out = np.zeros((len(weight), rows, columns))
    for y in range(rows):
        for x in range(columns):
            window = padded[:, y : y + kernel, x : x + kernel]
            out[:, y, x] = (weight * window).sum(axis=(1, 2, 3))
    return out


def average(frame: np.ndarray) -> np.ndarray:
    """Return the means of windows of 2 x 2."""
    channels, rows, columns = frame.shape
    return frame.reshape(channels, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4))


class Neurons:
    """Integrate and fire once a step at most; a spike sets zero or subtracts the threshold."""

    def __init__(self, threshold: float, *, to_zero: bool, many: bool = False) -> None:
        self.threshold, self.to_zero, self.many = threshold, to_zero, many
        self.potential: np.ndarray | float = 0.0

    def step(self, current: np.ndarray) -> np.ndarray:
        """Return the spikes of one step."""
        potential = self.potential + current
        if self.many:
            spikes = np.maximum(np.floor(potential / self.threshold), 0)
        else:
            spikes = (potential > self.threshold).astype(float)
        left = np.where(spikes > 0, 0, potential) if self.to_zero else None
        self.potential = potential - spikes * self.threshold if left is None else left
        return spikes


def play_small_network(
    frames: np.ndarray, weights: dict[str, np.ndarray], threshold: float, *, to_zero: bool
) -> np.ndarray:
    """Return the (step, 5) spikes of the network in tests/files/nir/small_network.py."""
    first, second, third = (
        # what is left of a subtraction fires in the same step, as in sinabs
        Neurons(threshold, to_zero=to_zero, many=not to_zero)
        for _ in range(3)
    )
    outputs = []
    for frame in frames:
        spikes = first.step(convolve(frame, weights["conv1"], 1))
        spikes = second.step(convolve(average(spikes), weights["conv2"], 0))
        outputs.append(third.step(weights["linear"] @ spikes.reshape(-1)))
    return np.array(outputs)
