"""What runs the cores of a virtual chip: the twin, or core after core where events circulate.

Both runners have the same methods. Cores are named by their number on the chip.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Destination, InputStage
from speckflex.twin.machine import Machine, MachineModel
from speckflex.virtual._configuration import SPECK
from speckflex.virtual._decode import (
    configured_cores,
    decode_configuration,
    decode_core,
    find_circle,
    input_shape,
    network_order,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from speckflex.twin.settings import TwinSettings

__all__ = ["MAX_CIRCULATING", "Circulation", "Feedforward", "copy_potentials", "make_runner"]

logger = logging.getLogger("speckflex.virtual")

# Spikes that one input event may cause in a circle of cores before the rest is given up. A chip
# would go on for ever; no source says how such a deadlock looks from outside.
MAX_CIRCULATING = 100_000
NOTHING = make_events(*np.zeros((4, 0), np.int64))

Waiting = tuple[int, int, int, int]  # the core, and x, y and feature of an event for it


def make_runner(
    configuration: Any, chip: str, settings: TwinSettings, stuck_core: int | None
) -> Feedforward | Circulation:
    """Return what runs a valid configuration, every neuron at its initial value.

    Args:
        configuration: a SpeckConfiguration.
        chip: "speck2e" or "speck2f".
        settings: of the twin.
        stuck_core: a core that never spikes; None for none.
    """
    kind = Circulation if find_circle(configuration) else Feedforward
    return kind(configuration, chip, settings, stuck_core)


class Feedforward:
    """Cores without a circle, run by the twin.

    The twin lets events in at one place. So there is one machine of the twin for each layer at
    which events have entered, and the potentials move from machine to machine.

    Attributes:
        cores: the configured cores, each before those it sends to.
        given_up: spikes that were not followed any further; none here.
    """

    given_up = 0

    def __init__(
        self, configuration: Any, chip: str, settings: TwinSettings, stuck_core: int | None
    ) -> None:
        self._configuration, self._chip = configuration, chip
        self._settings, self._stuck = settings, stuck_core
        self.cores = network_order(configuration)
        self._machines: dict[int, Machine] = {}
        self._entry: int | None = None
        # made and compiled now: doing so during a play would look like silence
        for entry in (*self._fed_by_sensor(), *self.cores[:1]):
            self._enter_at(entry)

    def state(self, core: int) -> np.ndarray:
        """Return the (y, x, channel) int16 potentials of a configured core themselves."""
        if self._entry is None:
            raise RuntimeError("no core is configured: apply a configuration with weights first")
        return self._machines[self._entry].cores[self.cores.index(core)].state

    def play(
        self, layer: int, events: np.ndarray, watched: Collection[int]
    ) -> Mapping[int, np.ndarray]:
        """Play events that enter at one layer.

        Args:
            layer: a core, or the DVS layer.
            events: event array; `t` is what their spikes carry as well.
            watched: the cores whose spikes are asked for.

        Returns:
            Event arrays by core, in the order of `cores`.
        """
        self._enter_at(layer)
        positions = [i for i, core in enumerate(self.cores) if core in watched]
        played = _play(self._machines[layer], events, positions)
        return {self.cores[i]: spikes for i, spikes in zip(positions, played, strict=True)}

    def leak(self, cores: Collection[int], watched: Collection[int]) -> Mapping[int, np.ndarray]:
        """Add the bias of some cores to their neurons once; run the spikes of those that fire.

        Args:
            cores: those that leak at this tick.
            watched: the cores whose spikes are asked for.

        Returns:
            Event arrays by core, in the order of `cores`; `t` is 0.
        """
        if self._entry is None:
            return {}
        machine = self._machines[self._entry]
        leaking = [index for index, core in enumerate(self.cores) if core in cores]
        fired = [(index, machine.cores[index].leak(1)) for index in leaking]
        if not any(len(addresses) for _, addresses in fired):
            return {}
        positions = [i for i, core in enumerate(self.cores) if core in watched]
        played = _play(machine, NOTHING, positions, fired)
        return {self.cores[i]: spikes for i, spikes in zip(positions, played, strict=True)}

    def _fed_by_sensor(self) -> tuple[int, ...]:
        targets = self._configuration.dvs_layer.destinations
        fed = any(item.enable and item.layer in self.cores for item in targets)
        return (SPECK.dvs.layer,) if fed else ()

    def _program(self, entry: int) -> Program:
        program = decode_configuration(self._configuration, self._chip, entry=entry)
        cores = (
            replace(core, destinations=()) if core.chip_core == self._stuck else core
            for core in program.cores
        )
        # the filter counts ticks that the twin doesn't see, so events pass it before the twin
        stage = replace(program.input, event_filter=None)
        return replace(program, cores=tuple(cores), input=stage)

    def _enter_at(self, layer: int) -> None:
        """Make the machine whose input stage feeds `layer` the current one, with all potentials."""
        if layer == self._entry:
            return
        if layer not in self._machines:
            self._machines[layer] = _compiled(self._program(layer), self._settings)
        if self._entry is not None:
            before, after = self._machines[self._entry].cores, self._machines[layer].cores
            for source, target in zip(before, after, strict=True):
                target.state[:] = source.state
        self._entry = layer


class Circulation:
    """Cores that feed each other in a circle, each a machine of its own.

    Every input event is followed until its last spike has been served, the oldest spike first;
    in which order a chip serves them no source says.

    Attributes:
        cores: the configured cores.
        given_up: spikes that were not followed any further, because one input event had caused
            `MAX_CIRCULATING` of them.
    """

    def __init__(
        self, configuration: Any, chip: str, settings: TwinSettings, stuck_core: int | None
    ) -> None:
        self.cores = configured_cores(configuration)
        self.given_up = 0
        self._stuck = stuck_core
        self._shapes = {core: input_shape(configuration.cnn_layers[core]) for core in self.cores}
        self._machines: dict[int, Machine] = {}
        self._routes: dict[int, list[Any]] = {}
        for core in self.cores:
            layer = configuration.cnn_layers[core]
            alone = replace(decode_core(layer, core, []), destinations=())
            stage = InputStage(self._shapes[core], (Destination(0),))
            self._machines[core] = _compiled(Program((alone,), stage, chip), settings)
            targets = [item for item in layer.destinations if item.enable]
            ranks = settings.ranks(targets)
            self._routes[core] = [targets[ranks.index(rank)] for rank in range(len(targets))]
        self._sensor_routes = [item for item in configuration.dvs_layer.destinations if item.enable]

    def state(self, core: int) -> np.ndarray:
        """Return the (y, x, channel) int16 potentials of a configured core themselves."""
        return self._machines[core].cores[0].state

    def play(
        self, layer: int, events: np.ndarray, watched: Collection[int]
    ) -> Mapping[int, np.ndarray]:
        """Play events that enter at one layer; see `Feedforward.play`.

        Events of the DVS layer are those that have left it.
        """
        found: dict[int, list[np.ndarray]] = {core: [] for core in self.cores if core in watched}
        entries = [layer] if layer in self.cores else [i.layer for i in self._sensor_routes]
        for time, x, y, feature in events[["t", "x", "y", "p"]].tolist():
            for core, spikes in self._follow([(core, x, y, feature) for core in entries]):
                if core in found:
                    spikes["t"] = time
                    found[core].append(spikes)
        return {core: np.concatenate([NOTHING, *parts]) for core, parts in found.items()}

    def leak(self, cores: Collection[int], watched: Collection[int]) -> Mapping[int, np.ndarray]:
        """Let some cores leak, and follow the spikes of those that fire; see `Feedforward.leak`."""
        leaking = [core for core in self.cores if core in cores]
        fired = {core: self._machines[core].cores[0].leak(1) for core in leaking}
        found: dict[int, list[np.ndarray]] = {core: [] for core in self.cores if core in watched}
        for core, addresses in fired.items():
            if not len(addresses) or core == self._stuck:
                continue
            (spikes,) = _play(self._machines[core], NOTHING, [0], [(0, addresses)])
            for source, sent in [(core, spikes), *self._follow(self._sent(core, spikes))]:
                if source in found:
                    sent["t"] = 0
                    found[source].append(sent)
        return {core: np.concatenate([NOTHING, *parts]) for core, parts in found.items()}

    def _follow(self, entering: list[Waiting]) -> list[tuple[int, np.ndarray]]:
        """Serve events and all that they cause; return the spikes in the order of serving."""
        queue = deque(item for item in entering if self._arrives(item))
        served: list[tuple[int, np.ndarray]] = []
        n_spikes = 0
        while queue:
            core = queue[0][0]
            block = []
            while queue and queue[0][0] == core:
                block.append(queue.popleft()[1:])
            spikes = self._spikes_of(core, block)
            served.append((core, spikes))
            n_spikes += len(spikes)
            if n_spikes > MAX_CIRCULATING:
                self._give_up(len(queue) + len(spikes))
                break
            queue.extend(self._sent(core, spikes))
        return served

    def _spikes_of(self, core: int, block: list[tuple[int, int, int]]) -> np.ndarray:
        x, y, feature = np.array(block, np.int64).T
        (spikes,) = _play(self._machines[core], make_events(np.zeros(len(x)), x, y, feature), [0])
        return spikes[:0] if core == self._stuck else spikes

    def _sent(self, core: int, spikes: np.ndarray) -> list[Waiting]:
        """Return the events that spikes are at their destinations, spike after spike."""
        sent = [
            (item.layer, x // item.pooling, y // item.pooling, feature + item.feature_shift)
            for x, y, feature in spikes[["x", "y", "p"]].tolist()
            for item in self._routes[core]
        ]
        return [item for item in sent if self._arrives(item)]

    def _arrives(self, waiting: Waiting) -> bool:
        core, x, y, feature = waiting
        channels, height, width = self._shapes.get(core, (0, 0, 0))
        return feature < channels and y < height and x < width

    def _give_up(self, number: int) -> None:
        self.given_up += number
        logger.error(
            "the cores' circle never falls silent: one input event caused more than %d spikes;"
            " %d of them were not followed any further (a chip would go on for ever)",
            MAX_CIRCULATING,
            number,
        )


def copy_potentials(source: Feedforward | Circulation, target: Feedforward | Circulation) -> None:
    """Give every neuron of `target` the potential that it has in `source`."""
    for core in source.cores:
        target.state(core)[:] = source.state(core)


def _compiled(program: Program, settings: TwinSettings) -> Machine:
    """Return a machine whose kernels are compiled."""
    machine = Machine(MachineModel(program, settings))
    zero = np.zeros(1, np.int64)
    _play(machine, make_events(zero, zero, zero, zero), [0])
    machine.reset()
    return machine


def _play(
    machine: Machine,
    events: np.ndarray,
    watched: Collection[int],
    fired: Sequence[tuple[int, np.ndarray]] = (),
) -> list[np.ndarray]:
    """Return the spikes of the watched layers, each an event array with `t` as in `events`."""
    output = machine.play([events], list(watched), keep_events=True, fired=fired)
    return [layer.events for layer in output.layers if layer.events is not None]
