"""The readout layer: which of 15 classes spiked most in the last cycles of the slow clock.

Sources: sinabs' notebook on the readout layer, and the data sheet, 3.2.5. The class depends only
on the feature: how the four values of `readout_configuration_sel` map larger maps to classes is
not modelled.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from speckflex.virtual._configuration import SPECK

__all__ = ["ReadoutLayer"]

CLASSES = SPECK.readout.classes
# channel 4 (k - 1) of the core is class k of the readout; the channels in between are not read
CHANNELS_PER_CLASS = SPECK.readout.stride
COUNT_MAX = 2**16 - 1
VALID = 1 << 20
INDEX_SHIFT = 16


class ReadoutLayer:
    """Counts the spikes of the cores that send to layer 12, class by class.

    Args:
        configuration: a SpeckConfiguration.
    """

    def __init__(self, configuration: Any) -> None:
        self._config = configuration.readout
        self._shifts: dict[int, list[int]] = {}
        if self._config.enable:
            for core, layer in enumerate(configuration.cnn_layers):
                targets = [item for item in layer.destinations if item.enable]
                shifts = [
                    item.feature_shift for item in targets if item.layer == SPECK.readout.layer
                ]
                if shifts:
                    self._shifts[core] = shifts
        self._counts = np.zeros(CLASSES + 1, np.int64)  # index 0 is idle
        self._cycles: deque[np.ndarray] = deque(maxlen=self._window())

    @property
    def hides_monitors(self) -> bool:
        """Whether the readout uses the output bus, so that all other monitors are silent."""
        return self._config.enable and self._config.monitor_enable

    def listens_to(self, core: int) -> bool:
        """Return whether a core sends to the readout."""
        return core in self._shifts

    def count(self, core: int, features: np.ndarray) -> None:
        """Count a core's spikes in the current cycle.

        Args:
            core: the chip's core.
            features: `(n,)` integers.
        """
        for shift in self._shifts.get(core, ()):
            channels = features + shift
            channels = channels[channels % CHANNELS_PER_CLASS == 0]
            classes = channels // CHANNELS_PER_CLASS + 1
            np.add.at(self._counts, classes[classes <= CLASSES], 1)

    def tick(self) -> tuple[int | None, list[int]]:
        """Close a cycle of the slow clock.

        Returns:
            The value of ReadoutValue, None if it is not monitored; and the classes on the pins.
        """
        if not self._config.enable:
            return None, []
        self._cycles.append(np.minimum(self._counts, COUNT_MAX))
        self._counts = np.zeros_like(self._counts)
        averages = sum(self._cycles, np.zeros_like(self._counts)) // self._window()
        passing = averages > self._config.threshold
        best = int(averages.argmax())
        valid = bool(passing[best])
        value = VALID * valid | (best if valid else 0) << INDEX_SHIFT | self._detail(averages)
        pins = [best] if valid and self._config.readout_pin_monitor_enable else []
        return (value if self._config.monitor_enable else None), pins

    def _window(self) -> int:
        if self._config.low_pass_filter_disable:
            return 1
        return 32 if self._config.low_pass_filter32_not16 else 16

    def _detail(self, averages: np.ndarray) -> int:
        """Return the low 16 bits of ReadoutValue, by the output mode."""
        passing = averages > self._config.threshold
        selected = min(self._config.output_neuron_num, CLASSES)
        return (
            0,
            sum(1 << int(index) for index in np.flatnonzero(passing)),
            int(averages[selected]),
            int(averages.max()),
        )[self._config.output_mode_sel]
