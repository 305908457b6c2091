"""Events that read or write the chip's memories or silence pixels, and their answers."""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING, Any

from speckflex.chips.chip import neuron_at
from speckflex.chips.facts import fact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.virtual._chip import VirtualChip
    from speckflex.virtual._records import Record

__all__ = ["Requests", "weight_at"]

FIRST_REGISTER, STARTED = 0, fact("register_0")

Place = tuple[int, ...]


class Requests:
    """Serves requests for one chip.

    Args:
        chip: has the memories and the pixels.
        classes: the chip's event classes by name.
    """

    def __init__(self, chip: VirtualChip, classes: dict[str, type[Record]]) -> None:
        self._chip, self._classes = chip, classes
        self._registers: dict[int, int] = {}
        self._served: dict[type, Callable[[Sequence[Any]], list[Record]]] = {
            classes["ReadNeuronValue"]: self._read_neurons,
            classes["WriteNeuronValue"]: self._write_neurons,
            classes["ReadWeightValue"]: self._read_weights,
            classes["WriteWeightValue"]: self._write_weights,
            classes["ReadBiasValue"]: self._read_biases,
            classes["WriteBiasValue"]: self._write_biases,
            classes["KillSensorPixel"]: self._kill_pixels,
            classes["ResetSensorPixel"]: self._reset_pixels,
            classes["ReadRegisterValue"]: self._read_registers,
            classes["WriteRegisterValue"]: self._write_registers,
        }

    def serves(self, kind: type) -> bool:
        """Return whether events of this class are requests."""
        return kind in self._served

    def answer(self, events: Sequence[Any]) -> list[Record]:
        """Return the answers to requests of one class for one layer, in their order."""
        return self._served[type(events[0])](events)

    def _read_neurons(self, events: Sequence[Any]) -> list[Record]:
        values = self._chip.read_neurons(events[0].layer)
        found = [None if values is None else neuron_at(e.address, values.shape) for e in events]
        return self._answers("NeuronValue", "neuron_state", events, values, found)

    def _write_neurons(self, events: Sequence[Any]) -> list[Record]:
        values = self._chip.read_neurons(events[0].layer)
        if values is not None:
            for event in events:
                place = neuron_at(event.address, values.shape)
                if place is not None:
                    values[place] = event.neuron_state
            self._chip.write_neurons(events[0].layer, values)
        return []

    def _read_weights(self, events: Sequence[Any]) -> list[Record]:
        weights = self._chip.parameters(events[0].layer, "weights")
        found = [weight_at(event.address, weights.shape) for event in events]
        return self._answers("WeightValue", "weight", events, weights, found)

    def _write_weights(self, events: Sequence[Any]) -> list[Record]:
        weights = self._chip.parameters(events[0].layer, "weights")
        for event in events:
            place = weight_at(event.address, weights.shape)
            if place is not None:
                weights[place] = event.weight
        self._chip.write_parameters(events[0].layer, "weights", weights)
        return []

    def _read_biases(self, events: Sequence[Any]) -> list[Record]:
        biases = self._chip.parameters(events[0].layer, "biases")
        found = [(e.address,) if e.address < biases.size else None for e in events]
        return self._answers("BiasValue", "bias", events, biases, found)

    def _write_biases(self, events: Sequence[Any]) -> list[Record]:
        biases = self._chip.parameters(events[0].layer, "biases")
        for event in events:
            if event.address < biases.size:
                biases[event.address] = event.bias
        self._chip.write_parameters(events[0].layer, "biases", biases)
        return []

    def _kill_pixels(self, events: Sequence[Any]) -> list[Record]:
        self._chip.killed_pixels |= {(event.x, event.y) for event in events}
        return []

    def _reset_pixels(self, events: Sequence[Any]) -> list[Record]:
        self._chip.killed_pixels.clear()
        return []

    def _read_registers(self, events: Sequence[Any]) -> list[Record]:
        kind = self._classes["RegisterValue"]
        values = {FIRST_REGISTER: STARTED} | self._registers
        return [kind(address=e.address, data=values.get(e.address, 0)) for e in events]

    def _write_registers(self, events: Sequence[Any]) -> list[Record]:
        self._registers |= {event.address: event.data for event in events}
        return []

    def _answers(
        self, name: str, field: str, events: Sequence[Any], values: Any, places: list[Place | None]
    ) -> list[Record]:
        """Return one answer per request; its value is 0 if nothing is at the address."""
        kind = self._classes[name]
        return [
            kind.trusted(
                {
                    "address": event.address,
                    "layer": event.layer,
                    field: 0 if place is None else int(values[place]),
                }
            )
            for event, place in zip(events, places, strict=True)
        ]


def weight_at(address: int, shape: tuple[int, ...]) -> Place | None:
    """Return the (out, in, kx, ky) of the weight at an address; None if no weight is there.

    An address is tap, output and input channel, each in as few bits as it needs; the taps are
    counted row by row (data sheet 1.02, memory configuration).

    Args:
        address: within the core's kernel memory.
        shape: (out, in, kx, ky), samna's order.
    """
    features, channels, size_x, size_y = shape
    if not min(shape):
        return None
    feature_bits, channel_bits = ceil(log2(features)), ceil(log2(channels))
    channel = address & (2**channel_bits - 1)
    feature = (address >> channel_bits) & (2**feature_bits - 1)
    tap = address >> (feature_bits + channel_bits)
    if feature >= features or tap >= size_x * size_y or channel >= channels:
        return None
    return (feature, channel, tap % size_x, tap // size_x)
