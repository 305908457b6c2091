"""The checks on a device: neurons hold what was written, and every core spikes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from speckflex.boards.chip._link import make_event
from speckflex.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.boards.chip._layers import PlacedLayer, Spark
    from speckflex.boards.chip._link import ChipLink
    from speckflex.boards.chip.settings import ChipSettings

__all__ = ["check_cores", "check_states"]

ATTEMPTS = 3
RETRY = 0.05  # s between two looks at states that are not yet what they must be
PAUSE = 0.0005  # s between two looks at the output


def check_states(link: ChipLink, layers: Sequence[PlacedLayer], settings: ChipSettings) -> None:
    """Read neurons of every layer back and compare them with the program's initial states.

    Raises:
        BoardError: a neuron holds another value, also at the deadline.
    """
    expected: dict[tuple[int, int], int] = {}
    if settings.verify_neurons != 0:
        for layer in layers:
            expected |= layer.sampled(settings.verify_neurons)
    if not expected:
        return
    wrong = expected
    end = time.monotonic() + settings.deadline
    while True:
        found = link.ask(list(wrong), deadline=settings.deadline)
        wrong = {place: value for place, value in wrong.items() if found[place] != value}
        if not wrong:
            return
        # users report that a configuration takes effect on silicon only after some time
        if time.monotonic() > end:
            break
        time.sleep(RETRY)
    (core, address), value = next(iter(wrong.items()))
    raise BoardError(
        f"board {link.name}: {len(wrong)} of {len(expected)} neurons did not take their initial"
        f" state, the one at core {core}, address {address} holds {found[core, address]} in place"
        f" of {value}: reset the board and load the program again"
    )


def check_cores(link: ChipLink, layers: Sequence[PlacedLayer], deadline: float) -> list[int]:
    """Make one neuron of each core spike; this changes the states.

    The neuron is set so close to its threshold that one event must lift it there. A layer whose
    first neuron no event can reach is skipped.

    Returns:
        Positions of the layers whose core has spiked.

    Raises:
        BoardError: a core stayed silent.
    """
    sparks = [(layer, layer.spark()) for layer in layers]
    for layer, spark in sparks:
        if spark is None:
            continue
        if not any(_sparks(link, spark, deadline) for _ in range(ATTEMPTS)):
            raise BoardError(
                f"board {link.name}: core {layer.chip_core} (layer {layer.core.name}) takes events"
                " and does not spike: place the layer on another core, or use another chip"
            )
    return [layer.index for layer, spark in sparks if spark is not None]


def _sparks(link: ChipLink, spark: Spark, deadline: float) -> bool:
    """Return whether the neuron's core spiked."""
    core, address = spark.place
    event = link.module.event
    link.take_spikes()
    link.write(
        [
            make_event(
                event.WriteNeuronValue, layer=core, address=address, neuron_state=spark.state
            ),
            make_event(event.Spike, layer=core, feature=spark.feature, x=0, y=0, timestamp=0),
            link.question(spark.place),
        ]
    )
    link.await_answers([spark.place], deadline=deadline)
    # on a chip the answer may overtake the spike
    end = time.monotonic() + min(0.1, deadline)
    while time.monotonic() < end:
        link.poll()
        if any(layer == core for layer, *_ in link.take_spikes()):
            return True
        time.sleep(PAUSE)
    return False
