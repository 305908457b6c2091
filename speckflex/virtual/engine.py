"""The chip behind a virtual devkit: a configuration, run by the twin."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.boards.twin import Twin
from speckflex.chips.speck import DVS_LAYER, NEURON_MAX
from speckflex.events.streams import make_events
from speckflex.program.routing import addresses_of, enter
from speckflex.twin.event_filter import RunningFilter
from speckflex.twin.settings import TwinSettings
from speckflex.virtual.configuration import CnnLayerConfig
from speckflex.virtual.decode import decode_configuration, decode_input, network_order
from speckflex.virtual.dvs_layer import preprocess
from speckflex.virtual.readout import ReadoutLayer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.program.program import Program
    from speckflex.program.records import InputStage

__all__ = ["Engine", "Spikes"]

logger = logging.getLogger("speckflex.virtual")


@dataclass(frozen=True, eq=False)
class Spikes:
    """What monitored layers sent, in the order of the events that caused it.

    Args:
        layer: the chip's core, or 13 for the DVS layer.
        cause: `(n,)` position of the causing event in what was played.
        feature: `(n,)`.
        y: `(n,)`, before pooling.
        x: `(n,)`, before pooling.
    """

    layer: np.ndarray
    cause: np.ndarray
    feature: np.ndarray
    y: np.ndarray
    x: np.ndarray


class Engine:
    """Runs the last configuration; events may enter at any core and at the DVS layer.

    Args:
        chip: "speck2e" or "speck2f".
        settings: of the twin.
        stuck_core: a core that never spikes; None for none.

    Attributes:
        lost: events for addresses that no configured core takes; a chip doesn't count them.
    """

    def __init__(self, chip: str, settings: TwinSettings | None, stuck_core: int | None) -> None:
        self._chip, self._stuck = chip, stuck_core
        # the slow clock ticks on the board, not in the twin
        self._settings = replace(
            settings or TwinSettings(), slow_clock_period=None, slow_clock_divider=None
        )
        self._order: list[int] = []
        self._stages: dict[int, InputStage] = {}
        self._twins: dict[int, Twin] = {}
        self._entry: int | None = None
        self.lost = 0

    def configure(self, configuration: Any) -> None:
        """Take in a valid configuration and set every neuron to its initial value.

        Raises:
            ConfigurationError: cores feed each other in a circle.
        """
        order = network_order(configuration)
        self.configuration = configuration
        self._order = order
        self._stages = {
            entry: decode_input(configuration, entry, order) for entry in (*order, DVS_LAYER)
        }
        self._twins, self._entry = {}, None
        self._n_sensor_events = 0
        self._filter = _dvs_filter(self._stages[DVS_LAYER], self._settings)
        self._n_filter_ticks = 0
        self.readout = ReadoutLayer(configuration)
        if order:
            self._enter_at(order[0])

    def play(self, layer: int, feature: np.ndarray, y: np.ndarray, x: np.ndarray) -> Spikes:
        """Play events that enter at one layer and return what monitored layers send.

        Args:
            layer: a core, or the DVS layer (13).
            feature: `(n,)` integers; of the DVS layer the polarity.
            y: `(n,)` integers.
            x: `(n,)` integers.
        """
        stage = self._stages.get(layer)
        if stage is None:
            self._lose(len(x), f"layer {layer} is not configured")
            return _join([])
        channels, height, width = stage.shape
        inside = (feature < channels) & (y < height) & (x < width)
        if not inside.all():
            self._lose(int((~inside).sum()), f"addresses outside the input of layer {layer}")
        cause = np.flatnonzero(inside)
        events = make_events(cause, x[inside], y[inside], feature[inside])
        if layer != DVS_LAYER:
            return _join(self._core_spikes(layer, events))
        parts = [self._dvs_spikes(stage, events)]
        for period in self._internal_periods(events):
            parts += self._core_spikes(layer, self._filtered(stage, period))
        return _join(parts)

    def _filtered(self, stage: InputStage, events: np.ndarray) -> np.ndarray:
        """Return the sensor events that pass the filter, all of them between two ticks."""
        if self._filter is None:
            return events
        addresses = addresses_of(events, stage.shape)
        return events[self._filter.passing(addresses, np.full(len(events), self._n_filter_ticks))]

    def _internal_periods(self, events: np.ndarray) -> Iterator[np.ndarray]:
        """Yield sensor events between ticks of the internal slow clock; leak at each tick.

        The clock divides the number of raw sensor events by a power of two (datasheet 3.2.6.3.1).
        """
        period = 2**self.configuration.factory_config.internal_slow_clk_divider
        done = 0
        while done < len(events):
            until_tick = period - self._n_sensor_events % period
            part = events[done : done + until_tick]
            yield part
            done += len(part)
            self._n_sensor_events += len(part)
            if len(part) == until_tick:
                self._tick(internal=True)

    def tick(self) -> tuple[int | None, list[int]]:
        """Serve one tick of the slow clock; return what the readout layer shows then."""
        self._tick(internal=False)
        return self.readout.tick()

    def _tick(self, *, internal: bool) -> None:
        """Serve one tick of the internal or the external slow clock."""
        if self.configuration.dvs_filter.internal_slow_clk is internal:
            self._n_filter_ticks += 1
        self.leak(internal=internal)

    @property
    def shows_raw_events(self) -> bool:
        """Whether sensor events are monitored as they come in."""
        return self.configuration.dvs_layer.raw_monitor_enable and not self.readout.hides_monitors

    def leak(self, *, internal: bool) -> None:
        """Add the biases of every core that leaks by one of the clocks, down to its low threshold.

        A neuron that reaches the high threshold this way fires with its next event (the data
        sheet calls the leak independent of the neurons' calculations; nobody says more).
        """
        for position, core in enumerate(self._order):
            layer = self.configuration.cnn_layers[core]
            bias = layer.stored("biases")
            by_this_clock = layer.leak_internal_slow_clk_enable is internal
            if layer.leak_enable and by_this_clock and bias.any():
                twin = self._twin()
                values = twin.read_neurons(position) + bias[:, None, None]
                twin.write_neurons(np.clip(values, layer.threshold_low, NEURON_MAX), position)

    def read_neurons(self, layer: int) -> np.ndarray | None:
        """Return a core's (channel, y, x) int16 potentials; None where it isn't configured."""
        if layer not in self._order:
            return None
        return self._twin().read_neurons(self._order.index(layer))

    def write_neurons(self, layer: int, values: np.ndarray) -> None:
        """Set a configured core's (channel, y, x) int16 potentials."""
        self._twin().write_neurons(values, self._order.index(layer))

    def parameters(self, layer: int, name: str) -> np.ndarray:
        """Return a copy of a core's "weights" (out, in, kx, ky) or "biases" (out,)."""
        cores = self.configuration.cnn_layers
        return (cores[layer] if layer < len(cores) else CnnLayerConfig()).stored(name).copy()

    def write_parameters(self, layer: int, name: str, values: np.ndarray) -> None:
        """Set a core's weights or biases; its neurons stay as they are."""
        if layer not in self._order:
            return
        states = [self._twin().read_neurons(position) for position in range(len(self._order))]
        setattr(self.configuration.cnn_layers[layer], name, values)
        self._twins, self._entry = {}, None
        self._enter_at(self._order[0])
        for position, state in enumerate(states):
            self._twin().write_neurons(state, position)

    def _lose(self, number: int, reason: str) -> None:
        self.lost += number
        logger.warning("%d events lost: %s", number, reason)

    def _core_spikes(self, layer: int, events: np.ndarray) -> list[Spikes]:
        if not self._order or not len(events):
            return []
        self._enter_at(layer)
        cores = self.configuration.cnn_layers
        watched = [
            position
            for position, core in enumerate(self._order)
            if core != self._stuck and (cores[core].monitor_enable or self.readout.listens_to(core))
        ]
        recording = self._twin().play(events, monitor=watched, reset=False)
        parts = []
        for position in watched:
            core, spikes = self._order[position], recording.events(position)
            part = _spikes(core, spikes["t"], spikes["p"], spikes["y"], spikes["x"])
            self.readout.count(core, part.feature)
            if cores[core].monitor_enable and not self.readout.hides_monitors:
                parts.append(part)
        return parts

    def _dvs_spikes(self, stage: InputStage, events: np.ndarray) -> Spikes:
        """Return what the DVS layer's own monitor shows: its events as they leave it.

        Data sheet figure 6 has the monitor behind pooling; sinabs warns of the opposite.
        """
        dvs = self.configuration.dvs_layer
        shown = dvs.monitor_enable and not self.readout.hides_monitors
        sent = preprocess(stage, events if shown else events[:0], self._settings.mirror_frame)
        return _spikes(DVS_LAYER, sent["t"], sent["p"], sent["y"], sent["x"])

    def _program(self, entry: int) -> Program:
        program = decode_configuration(self.configuration, self._chip, entry=entry)
        cores = (
            replace(core, destinations=()) if core.chip_core == self._stuck else core
            for core in program.cores
        )
        # what passes the filter, by ticks that the twin doesn't see, is decided before
        stage = replace(program.input, event_filter=None)
        return replace(program, cores=tuple(cores), input=stage)

    def _twin(self) -> Twin:
        if self._entry is None:
            raise RuntimeError("no core is configured: apply a configuration with weights first")
        return self._twins[self._entry]

    def _enter_at(self, layer: int) -> None:
        """Make the twin whose input stage feeds `layer` the current one, neurons and all."""
        if layer == self._entry:
            return
        if layer not in self._twins:
            self._twins[layer] = _warm_twin(self._program(layer), self._settings)
        if self._entry is not None:
            for position in range(len(self._order)):
                values = self._twins[self._entry].read_neurons(position)
                self._twins[layer].write_neurons(values, position)
        self._entry = layer


def _dvs_filter(stage: InputStage, settings: TwinSettings) -> RunningFilter | None:
    if stage.event_filter is None:
        return None
    return RunningFilter(stage.event_filter, enter(stage, settings.mirror_frame))


def _warm_twin(program: Program, settings: TwinSettings) -> Twin:
    """Return a twin whose kernels are compiled: later, a pause would look like silence."""
    twin = Twin(threads=1, settings=settings)
    twin.load(program)
    zero = np.zeros(1, np.int64)
    twin.play(make_events(zero, zero, zero, zero), monitor=[0])
    twin.reset()
    return twin


def _spikes(
    layer: int, cause: np.ndarray, feature: np.ndarray, y: np.ndarray, x: np.ndarray
) -> Spikes:
    return Spikes(np.full(len(cause), layer), cause, feature, y, x)


def _join(parts: list[Spikes]) -> Spikes:
    """Return all spikes in the order of their causes; on a tie earlier layers come first."""
    names = ("layer", "cause", "feature", "y", "x")
    empty = [np.empty(0, np.int64)]
    columns = [np.concatenate(empty + [getattr(part, name) for part in parts]) for name in names]
    order = np.argsort(columns[1], kind="stable")
    return Spikes(*(column[order] for column in columns))
