"""An experiment on the readout layer: what bit 20 of its value says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.probing._cores import CORE, THETA, layer_of, send_to
from speckflex.probing.experiment import Experiment

if TYPE_CHECKING:
    from speckflex.boards.chip.bench import Bench

__all__ = ["EXPERIMENTS"]

READOUT = 12  # samna's number of the layer
N_EVENTS = 10  # spikes of one class between two ticks
ABOVE, BELOW = 2 * N_EVENTS, N_EVENTS // 2  # thresholds on either side of it
ONE_NEURON, MAXIMUM = 3, 3  # the shape 1x1x16, and the output mode that shows the largest class
BIT = 20


def _bit_20(bench: Bench) -> list[int]:
    """Return bit 20 in mode 3 with the threshold above, then below the largest average."""
    found = []
    for threshold in (ABOVE, BELOW):
        configuration = bench.configuration({CORE: layer_of(THETA)})
        send_to(configuration.cnn_layers[CORE], 0, READOUT)
        readout = configuration.readout
        readout.enable, readout.monitor_enable = True, True
        readout.readout_configuration_sel, readout.output_mode_sel = ONE_NEURON, MAXIMUM
        readout.low_pass_filter_disable, readout.threshold = True, threshold
        bench.apply(configuration)
        # the monitor of the readout may hide the answer, so that this waits and no more
        events = [bench.spike(CORE)] * N_EVENTS
        bench.heard([*events, bench.link.question((CORE, 0))], wanted=1)
        bench.link.take_others()
        bench.tick()
        found += [int(value.value) >> BIT & 1 for value in bench.told("ReadoutValue")]
    return found


EXPERIMENTS = (
    Experiment(
        "readout_bit_20",
        "what bit 20 of the readout says in mode 3",
        _bit_20,
        {"maximum above threshold": [0, 1], "valid": [1, 1]},
    ),
)
