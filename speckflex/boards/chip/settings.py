"""The settings of a chip as a board: when reading ends, and what is checked on the way."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from speckflex.errors import BoardError

__all__ = ["ChipSettings", "WantedPath", "WantedReset"]

WantedPath = Literal["auto", "dvs layer", "host"]
WantedReset = Literal["auto", "configuration", "model", "neurons"]
MAX_POWER_RATE = 100.0  # Hz, sinabs' notebook on power monitoring


@dataclass(frozen=True)
class ChipSettings:
    """How a chip is played and what is verified; every value stands in the recording.

    Args:
        silence: ms of real time without any output, after the last input event has left, that
            end a sample.
        deadline: seconds beyond a sample's own length after which reading ends in any case, and
            the longest wait for any answer.
        verify_neurons: how many neurons of each core are read back after every reset; None for
            all, 0 for none.
        check_cores: after an upload, make one neuron of each core spike.
        input_path: how events enter. "auto" writes them as spikes for the first core if the input
            stage changes nothing. Otherwise it sends them through the DVS layer, or lets the host
            do that layer's work if the layer can't.
        slow_clock: Hz, a whole number, of the clock that adds the biases and that an event filter
            counts; None for off. It runs only during samples; its phase on a chip is not
            documented.
        reset: how the neurons get their initial states before a sample. "configuration" writes the
            configuration again, 900 KB over a slow bus: 1.5 to 5 s on a devkit, by calculation.
            "model" calls `Model.reset()` of samna, and "neurons" writes every neuron. "auto" tries
            `Model.reset()` when a program is loaded, and takes it if the neurons that
            `verify_neurons` asks for then hold their initial states, else "configuration".
        gap: µs between samples that are played without a reset, in one stream.
        chunk: events that are written at a time.
        power: Hz at which every rail's power is measured during samples; None for not at all.
        readout_layer: let the last layer feed the chip's readout layer (Speck2e and 2f need
            every fourth channel for that, sinabs' chip errata), which needs the slow clock.
        readout_threshold: spikes per cycle above which the readout's pins show a class.
        open_deadline: seconds that opening the device may take.
        probe: what experiments have found of the board, by the label of their file.
    """

    silence: float = 10.0
    deadline: float = 5.0
    verify_neurons: int | None = 16
    check_cores: bool = True
    input_path: WantedPath = "auto"
    slow_clock: float | None = None
    reset: WantedReset = "auto"
    gap: int = 10_000
    chunk: int = 256
    power: float | None = None
    readout_layer: bool = False
    readout_threshold: int = 0
    open_deadline: float = 15.0
    probe: str = ""

    def __post_init__(self) -> None:
        for name in ("silence", "gap", "readout_threshold", "verify_neurons"):
            _check_least(name, getattr(self, name), 0, strict=False)
        for name in ("deadline", "chunk", "slow_clock", "power", "open_deadline"):
            _check_least(name, getattr(self, name), 0, strict=True)
        for name, choices in (("input_path", WantedPath), ("reset", WantedReset)):
            if getattr(self, name) not in get_args(choices):
                raise BoardError(
                    f"chip setting {name} is {getattr(self, name)!r}: choose one of"
                    f" {', '.join(get_args(choices))}"
                )
        if self.slow_clock is not None and not float(self.slow_clock).is_integer():
            raise BoardError(
                f"chip setting slow_clock is {self.slow_clock} Hz: samna takes whole numbers of Hz,"
                " give 1 or more"
            )
        if self.power is not None and self.power > MAX_POWER_RATE:
            raise BoardError(
                f"chip setting power is {self.power} Hz: boards measure at most"
                f" {MAX_POWER_RATE:g} times a second"
            )
        if self.readout_layer and self.slow_clock is None:
            raise BoardError(
                "chip setting readout_layer needs the slow clock, whose cycles it counts in:"
                " set slow_clock to a rate in Hz"
            )

    def named(self) -> dict[str, str]:
        """Return every setting as text, for a recording's provenance."""
        return {item.name: str(getattr(self, item.name)) for item in fields(self)}


def _check_least(name: str, value: Any, least: float, *, strict: bool) -> None:
    if value is None and name in {"verify_neurons", "slow_clock", "power"}:
        return
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not (value > least if strict else value >= least)
    ):
        bound = f"more than {least}" if strict else f"{least} or more"
        raise BoardError(f"chip setting {name} is {value!r}: give a number, {bound}")
