"""The chip of a virtual devkit: the last configuration that was applied, run by the twin."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.events.streams import make_events
from speckflex.program.routing import addresses_of, enter
from speckflex.twin.event_filter import RunningFilter
from speckflex.twin.settings import TwinSettings
from speckflex.virtual._configuration import SPECK, CnnLayerConfig
from speckflex.virtual._decode import decode_input, input_shape
from speckflex.virtual._readout import ReadoutLayer
from speckflex.virtual._runners import Circulation, copy_potentials, make_runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Spikes", "VirtualChip"]

logger = logging.getLogger("speckflex.virtual")


@dataclass(frozen=True, eq=False)
class Spikes:
    """What monitored layers sent, in the order of the events that caused it.

    Args:
        layer: `(n,)` the chip's core, or 13 for the DVS layer.
        cause: `(n,)` position of the causing event among those that were played.
        feature: `(n,)`.
        y: `(n,)`, before pooling.
        x: `(n,)`, before pooling.
    """

    layer: np.ndarray
    cause: np.ndarray
    feature: np.ndarray
    y: np.ndarray
    x: np.ndarray


class VirtualChip:
    """Runs the last configuration; events may enter at any core and at the DVS layer.

    Args:
        chip: "speck2e" or "speck2f".
        settings: of the twin.
        stuck_core: a core that never spikes; None for none.
        readout_bit_20: as in `Unverified`.

    Attributes:
        configuration: the one that runs; events may change its weights and biases.
        killed_pixels: the (x, y) of the sensor's pixels that were silenced.
        lost: events for addresses that no configured core has; a real chip does not count them.
        readout: the readout layer.
    """

    def __init__(
        self,
        chip: str,
        settings: TwinSettings | None,
        stuck_core: int | None,
        readout_bit_20: str,
    ) -> None:
        self._chip, self._stuck, self._readout_bit_20 = chip, stuck_core, readout_bit_20
        # the slow clock ticks on the board, not in the twin
        self._settings = replace(
            settings or TwinSettings(), slow_clock_period=None, slow_clock_divider=None
        )
        self._given_up = 0
        self.killed_pixels: set[tuple[int, int]] = set()
        self.lost = 0

    def configure(self, configuration: Any) -> None:
        """Run a valid configuration from now on, with every neuron at its initial value."""
        if hasattr(self, "_runner"):
            self._given_up += self._runner.given_up
        self.configuration = configuration
        self._runner = make_runner(configuration, self._chip, self._settings, self._stuck)
        cores = self._runner.cores
        self._shapes = {core: input_shape(configuration.cnn_layers[core]) for core in cores}
        self._shapes[SPECK.dvs.layer] = SPECK.dvs.shape
        stage = decode_input(configuration, SPECK.dvs.layer, cores)
        feature = self._settings.feature_of(stage)
        self._dvs_places = enter(stage, self._settings.mirror_frame, feature)
        self._filter = None
        if stage.event_filter is not None:
            self._filter = RunningFilter(stage.event_filter, self._dvs_places)
            # compiled now: compiling it during a play would look like silence
            self._filter.passing(np.zeros(1, np.int32), np.zeros(1, np.int64))
            self._filter.reset()
        self._n_sensor_events = self._n_filter_ticks = 0
        self.readout = ReadoutLayer(configuration, self._readout_bit_20)

    @property
    def circulating(self) -> int:
        """Spikes in circles of cores that were not followed any further."""
        return self._given_up + self._runner.given_up

    def play(self, layer: int, feature: np.ndarray, y: np.ndarray, x: np.ndarray) -> Spikes:
        """Play events that enter at one layer and return what monitored layers send.

        Args:
            layer: a core, the readout layer (12), or the DVS layer (13).
            feature: `(n,)` integers; for the DVS layer the polarity.
            y: `(n,)` integers.
            x: `(n,)` integers.
        """
        if layer == SPECK.readout.layer:
            self.readout.count(layer, feature)
            return _join([])
        if layer not in self._shapes:
            self._lose(len(x), f"layer {layer} is not configured")
            return _join([])
        channels, height, width = self._shapes[layer]
        inside = (feature < channels) & (y < height) & (x < width)
        if not inside.all():
            self._lose(int((~inside).sum()), f"addresses outside the input of layer {layer}")
        cause = np.flatnonzero(inside)
        events = make_events(cause, x[inside], y[inside], feature[inside])
        if layer != SPECK.dvs.layer:
            return _join(self._core_spikes(layer, events))
        parts = [self._dvs_spikes(events)]
        for period, is_whole in self._internal_periods(events):
            passed = self._filtered(period)
            self.readout.count(layer, self._prepared(passed)["p"])
            parts += self._core_spikes(layer, passed)
            if is_whole:
                last = period["t"][-1]
                at_tick = self._tick(internal=True)
                parts += [replace(one, cause=np.full_like(one.cause, last)) for one in at_tick]
        return _join(parts)

    def tick(self) -> tuple[Spikes, int | None, list[int]]:
        """Serve one tick of the external slow clock.

        Returns:
            What monitored layers send at it, and what the readout layer then shows: as
            `ReadoutLayer.tick`.
        """
        spikes = _join(self._tick(internal=False))
        return (spikes, *self.readout.tick())

    @property
    def shows_raw_events(self) -> bool:
        """Whether sensor events are monitored as they come in."""
        return self.configuration.dvs_layer.raw_monitor_enable and not self.readout.hides_monitors

    def senses(self, event: Any) -> bool:
        """Return whether an event of the sensor gets into the chip."""
        passes = self.configuration.dvs_layer.pass_sensor_events
        return passes and (event.x, event.y) not in self.killed_pixels

    def read_neurons(self, layer: int) -> np.ndarray | None:
        """Return a core's (channel, y, x) int16 potentials; None if it is not configured."""
        if layer not in self._runner.cores:
            return None
        return self._runner.state(layer).transpose(2, 0, 1).copy()

    def write_neurons(self, layer: int, values: np.ndarray) -> None:
        """Set a configured core's (channel, y, x) int16 potentials."""
        self._runner.state(layer)[:] = values.transpose(1, 2, 0)

    def reset_neurons(self, *, to_zero: bool) -> None:
        """Set every neuron of the configured cores to zero, or to its initial value."""
        for core in self._runner.cores:
            initial = self.configuration.cnn_layers[core].stored["neurons_initial_value"]
            # samna's axes are (feature, x, y)
            self._runner.state(core)[:] = (
                0 if to_zero or not initial.size else initial.transpose(2, 1, 0)
            )

    def parameters(self, layer: int, name: str) -> np.ndarray:
        """Return a copy of a core's "weights" (out, in, kx, ky) or "biases" (out,)."""
        cores = self.configuration.cnn_layers
        return (cores[layer] if layer < len(cores) else CnnLayerConfig()).stored[name].copy()

    def write_parameters(self, layer: int, name: str, values: np.ndarray) -> None:
        """Set a core's weights or biases; the potentials of all cores stay as they are."""
        if layer not in self._runner.cores:
            return
        setattr(self.configuration.cnn_layers[layer], name, values)
        before = self._runner
        self._given_up += before.given_up
        self._runner = make_runner(self.configuration, self._chip, self._settings, self._stuck)
        copy_potentials(before, self._runner)

    def _filtered(self, events: np.ndarray) -> np.ndarray:
        """Return the sensor events that pass the filter, all of them between two ticks."""
        if self._filter is None:
            return events
        addresses = addresses_of(events, SPECK.dvs.shape)
        return events[self._filter.passing(addresses, np.full(len(events), self._n_filter_ticks))]

    def _internal_periods(self, events: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
        """Yield sensor events between ticks of the internal slow clock, and whether it ticks then.

        The clock divides the number of raw sensor events by a power of two (datasheet 3.2.6.3.1).
        """
        period = 2**self.configuration.factory_config.internal_slow_clk_divider
        done = 0
        while done < len(events):
            until_tick = period - self._n_sensor_events % period
            part = events[done : done + until_tick]
            done += len(part)
            self._n_sensor_events += len(part)
            yield part, len(part) == until_tick

    def _tick(self, *, internal: bool) -> list[Spikes]:
        """Serve one tick of the internal or the external slow clock; return what it makes fire.

        Every core that leaks by this clock adds its biases to its potentials, down to its low
        threshold. Whether a neuron that reaches the high threshold this way fires at once is a
        setting of the twin (the data sheet calls the leak independent of the neurons' calculations
        and says no more).
        """
        if self.configuration.dvs_filter.internal_slow_clk is internal:
            self._n_filter_ticks += 1
        layers = self.configuration.cnn_layers
        leaking = [
            core
            for core in self._runner.cores
            if layers[core].leak_enable and layers[core].leak_internal_slow_clk_enable is internal
        ]
        if not leaking:
            return []
        return self._shown(self._runner.leak(leaking, self._watched()))

    def _lose(self, number: int, reason: str) -> None:
        self.lost += number
        logger.warning("%d events lost: %s", number, reason)

    def _core_spikes(self, layer: int, events: np.ndarray) -> list[Spikes]:
        """Return the monitored cores' spikes on events that enter at a core or the DVS layer."""
        if not self._runner.cores or not len(events):
            return []
        if isinstance(self._runner, Circulation) and layer == SPECK.dvs.layer:
            events = self._prepared(events)
        return self._shown(self._runner.play(layer, events, self._watched()))

    def _watched(self) -> list[int]:
        """Return the cores whose spikes a monitor or the readout layer sees."""
        cores = self.configuration.cnn_layers
        return [
            core
            for core in self._runner.cores
            if core != self._stuck and (cores[core].monitor_enable or self.readout.listens_to(core))
        ]

    def _shown(self, played: Mapping[int, np.ndarray]) -> list[Spikes]:
        """Count spikes in the readout layer, and return those that the monitors show."""
        cores = self.configuration.cnn_layers
        parts = []
        for core, spikes in played.items():
            self.readout.count(core, spikes["p"])
            if cores[core].monitor_enable and not self.readout.hides_monitors:
                layer_column = np.full(len(spikes), core)
                parts.append(Spikes(layer_column, *(spikes[name] for name in "tpyx")))
        return parts

    def _prepared(self, events: np.ndarray) -> np.ndarray:
        """Return sensor events as they leave the DVS layer, before its filter."""
        places = self._dvs_places
        addresses = addresses_of(events, SPECK.dvs.shape)
        kept = places.kept[addresses]
        sent = addresses[kept]
        columns = (places.columns[sent], places.rows[sent], places.channels[sent])
        return make_events(events["t"][kept], *columns)

    def _dvs_spikes(self, events: np.ndarray) -> Spikes:
        """Return what the DVS layer's own monitor shows: the events as they leave that layer.

        In the data sheet's figure 6 the monitor is behind pooling; sinabs warns of the opposite.
        """
        if not self.configuration.dvs_layer.monitor_enable or self.readout.hides_monitors:
            return _join([])
        shown = self._prepared(events)
        layer = np.full(len(shown), SPECK.dvs.layer)
        return Spikes(layer, *(shown[name] for name in "tpyx"))


def _join(parts: list[Spikes]) -> Spikes:
    """Return all spikes in the order of their causes; on a tie earlier layers come first."""
    names = ("layer", "cause", "feature", "y", "x")
    empty = [np.empty(0, np.int64)]
    columns = [np.concatenate(empty + [getattr(part, name) for part in parts]) for name in names]
    order = np.argsort(columns[1], kind="stable")
    return Spikes(*(column[order] for column in columns))
