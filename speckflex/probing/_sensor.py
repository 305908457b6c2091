"""Experiments on the DVS layer: polarities, mirror, and the event filter behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex.probing._cores import CORE, THETA, layer_of
from speckflex.probing.experiment import Experiment

if TYPE_CHECKING:
    from speckflex.boards.chip.bench import Bench

__all__ = ["EXPERIMENTS"]

DVS = 13  # samna's number of the layer
SIDE = 128
FIRST, LAST = 10, 41  # a region of 32 pixels
WINDOW = 5  # ticks, the filter's threshold


def _watched(bench: Bench, **fields: Any) -> Any:
    """Return a configuration with the DVS layer monitored, not mirrored, and one core laid.

    Args:
        bench: the board.
        fields: of the DVS layer.
    """
    configuration = bench.configuration({CORE: layer_of(THETA)})
    layer = configuration.dvs_layer
    layer.mirror, layer.mirror_diagonal = {"x": False, "y": False}, False
    layer.monitor_enable = True
    for name, value in fields.items():
        setattr(layer, name, value)
    return configuration


def _shown(bench: Bench, p: bool, *, x: int = 0, y: int = 0) -> list[list[int]]:  # noqa: FBT001
    """Return the (feature, y, x) that the DVS monitor shows of one event."""
    event = bench.event("DvsEvent", p=p, timestamp=0, x=x, y=y)
    return [list(seen[1:]) for seen in bench.seen([event], CORE) if seen[0] == DVS]


def _merged(bench: Bench) -> list[int]:
    """Return the features of an off and an on event with merged polarities."""
    bench.apply(_watched(bench, merge=True))
    return [feature for p in (False, True) for feature, *_ in _shown(bench, p)]


def _single(bench: Bench) -> dict[str, list[int]]:
    """Return the features of an off and an on event where only one polarity is let through."""
    found = {}
    for kept, dropped in (("off", "on"), ("on", "off")):
        bench.apply(_watched(bench, **{f"{kept}_channel": True, f"{dropped}_channel": False}))
        found[f"{kept} alone"] = [f for p in (False, True) for f, *_ in _shown(bench, p)]
    return found


def _mirror_frame(bench: Bench) -> list[int]:
    """Return the column of an event in the first column of a region that is mirrored in x."""
    region = {"origin": {"x": FIRST, "y": 0}, "cut": {"x": LAST, "y": SIDE - 1}}
    bench.apply(_watched(bench, mirror={"x": True, "y": False}, **region))
    return [x for _, _, x in _shown(bench, p=True, x=FIRST, y=5)]


def _filtered(bench: Bench, *, distance: int, ticks: int) -> bool:
    """Return whether the event filter lets the second of two events pass.

    Args:
        bench: the board.
        distance: between them, columns.
        ticks: of the slow clock between them.
    """
    side = 16
    configuration = bench.configuration(
        {CORE: layer_of([[[[THETA]], [[THETA]]]], size=(side, side))}
    )
    layer, rule = configuration.dvs_layer, configuration.dvs_filter
    layer.mirror, layer.mirror_diagonal = {"x": False, "y": False}, False
    layer.cut = {"x": side - 1, "y": side - 1}
    layer.destinations[0].layer, layer.destinations[0].enable = CORE, True
    rule.enable, rule.hot_pixel_filter_enable, rule.internal_slow_clk = True, False, False
    rule.filter_size, rule.threshold = {"x": 1, "y": 1}, WINDOW
    bench.apply(configuration)
    first, second = (
        bench.event("DvsEvent", p=True, timestamp=0, x=x, y=4) for x in (4, 4 + distance)
    )
    bench.seen([first], CORE)
    bench.tick(ticks)
    return bool(bench.seen([second], CORE))


def _filter_size(bench: Bench) -> list[bool]:
    """Return whether a neighbour 1, 2 and 3 pixels away lets an event pass at filter_size 1."""
    return [_filtered(bench, distance=distance, ticks=0) for distance in (1, 2, 3)]


def _filter_window(bench: Bench) -> list[bool]:
    """Return whether a neighbour lets an event pass 4, 5 and 6 ticks later at threshold 5."""
    ticks = (WINDOW - 1, WINDOW, WINDOW + 1)
    return [_filtered(bench, distance=1, ticks=number) for number in ticks]


EXPERIMENTS = (
    Experiment(
        "filter_size",
        "what the size of the event filter counts",
        _filter_size,
        {
            "pixels to either side": [True, False, False],
            "width of the window": [False, False, False],
        },
    ),
    Experiment(
        "filter_window",
        "whether the filter's threshold itself still lets an event pass",
        _filter_window,
        {"up to the threshold": [True, True, False], "less than it": [True, False, False]},
    ),
    Experiment(
        "merge_feature",
        "feature of an event whose polarities are merged",
        _merged,
        {"0": [0, 0], "1": [1, 1]},
    ),
    Experiment(
        "single_polarity_feature",
        "feature of an event where only one polarity is let through",
        _single,
        {
            "that of the polarity": {"off alone": [0], "on alone": [1]},
            "0": {"off alone": [0], "on alone": [0]},
            "1": {"off alone": [1], "on alone": [1]},
        },
    ),
    Experiment(
        "mirror_frame",
        "whether the DVS layer mirrors inside its region or the whole picture",
        _mirror_frame,
        {"region": [LAST - FIRST], "sensor": [], "not at all": [0]},
    ),
)
