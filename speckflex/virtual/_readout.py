"""The readout layer: which of 15 classes spiked most in the last cycles of the slow clock.

Sources: sinabs' notebook on the readout layer, the data sheet, 3.2.5, and samna's reference for
`readout_configuration_sel`, the shape of the map that the layer takes. Features beyond that shape
are assumed not to count, and the class depends only on the feature: how the neurons of a map with
y and x are numbered is not documented.
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
MAXIMUM = 3  # the output mode that shows the largest average


class ReadoutLayer:
    """Counts the spikes of the cores that send to layer 12, class by class.

    Args:
        configuration: a SpeckConfiguration.
        bit_20: what bit 20 says in mode 3, as in `Unverified`.
    """

    def __init__(self, configuration: Any, bit_20: str) -> None:
        self._always_valid = bit_20 == "valid"
        self._config = configuration.readout
        self._shifts: dict[int, list[int]] = {}
        if self._config.enable:
            # an input event may be for the readout itself
            self._shifts[SPECK.readout.layer] = [0]
            senders = [*enumerate(configuration.cnn_layers)]
            for sender, layer in [*senders, (SPECK.dvs.layer, configuration.dvs_layer)]:
                self._shifts[sender] = [
                    getattr(item, "feature_shift", 0)
                    for item in layer.destinations
                    if item.enable and item.layer == SPECK.readout.layer
                ]
        self._n_features = SPECK.readout.shapes[self._config.readout_configuration_sel][0]
        self._counts = np.zeros(CLASSES + 1, np.int64)  # index 0 is idle
        self._cycles: deque[np.ndarray] = deque(maxlen=self._window())

    @property
    def hides_monitors(self) -> bool:
        """Whether the readout uses the output bus, so that all other monitors are silent."""
        return self._config.enable and self._config.monitor_enable

    def listens_to(self, sender: int) -> bool:
        """Return whether a core, or the DVS layer, sends to the readout."""
        return bool(self._shifts.get(sender))

    def count(self, sender: int, features: np.ndarray) -> None:
        """Count spikes in the current cycle; those of a layer that sends elsewhere do not count.

        Args:
            sender: the chip's core, the DVS layer, or the readout layer for an input event.
            features: `(n,)` integers.
        """
        for shift in self._shifts.get(sender, ()):
            channels = features + shift
            channels = channels[self._is_read(channels)]
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
        leads = bool(passing[best])
        # samna's reference: in mode 3 whether the maximum passes, else that the value is valid
        valid = leads or self._always_valid or self._config.output_mode_sel != MAXIMUM
        value = VALID * valid | (best if leads else 0) << INDEX_SHIFT | self._detail(averages)
        pins = [best] if leads and self._config.readout_pin_monitor_enable else []
        return (value if self._config.monitor_enable else None), pins

    def _is_read(self, channels: np.ndarray) -> np.ndarray:
        """Return which channels are classes in the chosen shape.

        With one neuron a class the shape's 16 features are four bits of the address. The erratum
        shifts them by two, so that every fourth of 64 channels is a class.
        """
        if self._n_features == CLASSES + 1:
            return channels % CHANNELS_PER_CLASS == 0
        return (channels < self._n_features) & (channels % CHANNELS_PER_CLASS == 0)

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
