"""What is known about devkits and chips beyond a chip's limits: each fact, its source, its proof.

Sources: "samna" = the documents of samna 0.48.5; "data sheet" = that of Speck2e and 2f, version
1.02; DS = "Speck Dev Kit Datasheet" (SynSense, August 2023); "recorded" = what a devkit put out.
`docs/hardware.md` shows them as a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FACTS", "Fact", "fact"]

Certainty = Literal["documented", "inferred", "unknown"]


@dataclass(frozen=True)
class Fact:
    """One fact, or what is assumed in its place.

    Args:
        name: by which code asks for it.
        subject: what it is about.
        value: what holds, or is assumed.
        certainty: "documented" by the vendor or recorded on a board; "inferred" from other facts;
            "unknown", so that the value is an assumption.
        source: where it comes from.
        experiment: what would settle it on a board; "" for what is documented.
    """

    name: str
    subject: str
    value: Any
    certainty: Certainty
    source: str
    experiment: str = ""


FACTS = (
    Fact("counter", "values of the stop watch's counter, µs", 2**32, "documented",
         "samna, devkits"),
    Fact("slow_clock_rate", "rate of the slow clock before it is set, Hz", 1000, "documented",
         "samna, UnifirmModule; recorded: two ticks before the rate was set"),
    Fact("register_0", "what register 0 answers after the start", 0xF1, "documented",
         "samna, hands-on; data sheet"),
    Fact("stopped_watch", "what a stopped stop watch does with later events",
         "holds them back, and all behind them", "documented", "samna, devkits"),
    Fact("threshold_low", "largest lower bound of a potential", -1, "documented",
         "samna, CnnLayerConfig; DS 3.2.4.6.3"),
    Fact("readout_shapes", "shape of the readout by its number",
         "0: 2x2y4f, 1: 2x4y2f, 2: 4x4y1f, 3: 1x1y16f", "documented",
         "samna, ReadoutConfig; data sheet, register ROCS"),
    Fact("event_widths", "bits of layer, y and x, feature and state in an event of samna",
         "8, 8, 16, 16", "inferred", "words of the chip: layer 4, y and x at most 8, feature 10",
         "assign larger values, and see whether they are refused, cut off or wrapped"),
    Fact("filter_size", "what filter_size counts", "pixels to either side", "inferred",
         "data sheet, 3 bits; DS, windows of 1 x 1 to 15 x 15",
         "size 1: one event, then a second at a distance of 1, 2 and 3 pixels"),
    Fact("output_order", "order in which neurons that fire on one event send their spikes: the"
         " outer loop first, + rising, - falling", "-y-x+c", "inferred",
         "data sheet, memory configuration: kernel memory is tap, output, input, and rising taps"
         " are falling rows and columns; a recording of another network suggests falling features"
         " as the outer loop",
         "one event, 3 x 3 taps, 16 features that all fire: the order that the monitor shows"),
    Fact("model_reset", "what Model.reset() sets the neurons to", "zero", "unknown",
         'samna: "resets all state memory"',
         "initial value 50, add 20, reset, read: 0 or 50"),
    Fact("reads_while_running", "requests while the stop watch runs", "answered", "unknown",
         "samna, devkits: only events with a time are forwarded",
         "start the watch, ask for register 0, see whether it answers"),
    Fact("readout_bit_20", "bit 20 of the readout's value in mode 3", "maximum above threshold",
         "inferred", "samna, ReadoutConfig, and data sheet; DS says that the value is valid",
         "ten spikes of one class, the threshold above and then below them: the bit after a tick"),
    Fact("merge_feature", "feature of a sensor event with merged polarities", 0, "inferred",
         "samna's guide says 0, its reference and the data sheet's register say 1; networks with"
         " merged polarities and one input channel work on boards",
         "inject one event of either polarity, and read the feature that the monitor shows"),
    Fact("leak_cores_01", "leak on cores 0 and 1", "works", "unknown",
         "data sheet, errata: unusable; vendor's scripts use it",
         "bias -1, initial value 100, ten ticks, read all states; the same on core 3"),
    Fact("withheld_spike", "whether cores 0 and 1 hold back the last spike", "no", "unknown",
         "samna, models: they may, until a later one", "count after N events, and after N + 1"),
    Fact("decimator_table", "spikes of which a decimator passes one, by interval: 2, 4, 8, 16, 32,"
         " then 128, 256, 512 or 64, 128, 256", "without 64", "inferred",
         "samna's reference and DS skip 64, samna's guide does not",
         "1100 spikes at intervals 5, 6 and 7: how many come out"),
    Fact("single_polarity_feature", "feature of a sensor event where one polarity alone is let"
         " through", 0, "unknown",
         "samna's guide says 0, its reference and the data sheet's register say 1",
         "inject one event of either polarity with one channel off, and read the feature"),
    Fact("capacity", "room for layers whose channels are no power of two",
         "by the formulas, which do not round all of them up; every address lies in memory too",
         "inferred",
         "DS 3.2.4.1, sinabs; data sheet, fields of an address: as the words of every core are a"
         " power of two, what fits by the one rule fits by the other",
         "5 features on a full map: write the highest neuron address, read all, look for a second"
         " neuron that has changed"),
    Fact("edge_spikes", "spikes beyond the last whole pooling window", "drop", "inferred",
         "torch and sinabs drop them; samna compares shapes rounded down",
         "5 x 5 map, pooling 2, target of 2 x 2 with a border: whether column 4 reaches it"),
    Fact("engine_times", "µs that an engine of cores 0 and 1 takes for an event of 100 updates and"
         " 2 spikes", 99, "unknown",
         "a fit to the counts of one layer of one Speck2f. It stays a fit: samna's guide says that"
         " two engines and paired updates make core 0 about 3.5 times as fast, and one thesis and"
         " one recording say 0.1 µs an update on other cores, which is 3 µs for the same event",
         "events in bursts of known distance to core 0: from which rate on their order changes"),
    Fact("weight_address", "a kernel word's address",
         "tap row by row, output, input, each in as few bits as it needs", "documented",
         "data sheet, memory configuration"),
    Fact("threshold_high", "smallest threshold", 0, "documented", "samna, CnnLayerConfig"),
    Fact("neuron_address", "a neuron's address on a map that is not square",
         "y, x, feature, each in as few bits as it needs", "documented",
         "data sheet, memory configuration; sinabs shifts y otherwise"),
)  # fmt: skip
_BY_NAME = {item.name: item for item in FACTS}


def fact(name: str) -> Any:
    """Return the value of a fact."""
    return _BY_NAME[name].value
