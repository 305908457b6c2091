"""How the neurons of a chip get their initial states back, and whether samna's own reset does it.

What `Model.reset()` of samna resets is documented as "all state memory"; whether to zero or to
the initial values is not. So it is tried on the board before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from speckflex.boards.chip._link import make_event
from speckflex.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from speckflex.boards.chip._layers import PlacedLayer
    from speckflex.boards.chip._link import ChipLink
    from speckflex.boards.chip._questions import Place
    from speckflex.boards.chip.settings import ChipSettings

__all__ = ["ResetWay", "choose_reset", "write_initial_states"]

ResetWay = Literal["configuration", "model", "neurons"]


def choose_reset(link: ChipLink, layers: Sequence[PlacedLayer], settings: ChipSettings) -> ResetWay:
    """Return how the board is to be reset; the states are not what they were afterwards.

    Args:
        link: to the board, on which the program's configuration was just written.
        layers: of the program.
        settings: `reset` is the wanted way; `verify_neurons` how many are tried in each layer.

    Raises:
        BoardError: `Model.reset()` is wanted and does not set the initial states, or the neurons
            are to be written and the address of one is not confirmed.
    """
    if settings.reset == "configuration":
        return "configuration"
    if settings.reset == "neurons":
        _check_addresses(link, layers)
        return "neurons"
    if _model_resets(link, layers, settings):
        return "model"
    if settings.reset == "model":
        raise BoardError(
            f"board {link.name}: Model.reset() of this samna did not give the neurons their initial"
            " states, or no neuron was to be verified: set reset to auto or configuration"
        )
    return "configuration"


def write_initial_states(link: ChipLink, layers: Sequence[PlacedLayer]) -> None:
    """Write the initial state of every neuron of all layers."""
    for layer in layers:
        link.write(_writing(link, layer.sampled(None)))


def _model_resets(link: ChipLink, layers: Sequence[PlacedLayer], settings: ChipSettings) -> bool:
    """Return whether `Model.reset()` gives neurons that were changed their initial states."""
    if settings.verify_neurons == 0 or not link.can_reset_neurons:
        return False
    initial: dict[Place, int] = {}
    for layer in layers:
        initial |= layer.sampled(settings.verify_neurons)
    # a step towards zero, so that no bound is crossed; away from it at zero
    changed = {place: value - 1 if value > 0 else value + 1 for place, value in initial.items()}
    link.write(_writing(link, changed))
    if link.ask(list(initial), deadline=settings.deadline) != changed:
        return False
    link.reset_neurons()
    return link.ask(list(initial), deadline=settings.deadline) == initial


def _writing(link: ChipLink, states: dict[Place, int]) -> list[Any]:
    """Return the events that write the states."""
    kind = link.module.event.WriteNeuronValue
    return [
        make_event(kind, layer=core, address=address, neuron_state=state)
        for (core, address), state in states.items()
    ]


def _check_addresses(link: ChipLink, layers: Sequence[PlacedLayer]) -> None:
    for layer in layers:
        if not layer.has_known_addresses:
            raise BoardError(
                f"board {link.name}: layer {layer.core.name} has a map of {layer.shape[1:]} (y, x),"
                " whose neurons' addresses no board has confirmed: set reset to auto or"
                " configuration"
            )
