"""Experiments on a session: stop watch and requests, what writing and resetting takes, clocks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.errors import BoardError
from speckflex.probing._cores import CORE, THETA, layer_of
from speckflex.probing.experiment import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.boards.chip.bench import Bench

__all__ = ["EXPERIMENTS"]

AHEAD = 400_000  # µs
RATE = 10  # Hz of the slow clock whose first tick is timed
FULL = (32, 32, 32)  # (feature, y, x): all neurons of core 3
SWEPT = 2  # a core with room for 64 Ki neurons and one engine
STEADY = 200  # µs between two events
SPI_RATES = (1_562_500, 781_250)  # Hz: samna's default, and half of it
START = 100
POLL = 0.002  # s


def _reads_while_running(bench: Bench) -> int:
    """Return how many of three requests are answered while the stop watch runs."""
    bench.apply(bench.configuration({CORE: layer_of(THETA)}))
    requests = [bench.event("ReadNeuronValue", layer=CORE, address=0)] * 3
    with bench.running_watch():
        return bench.heard(requests)


def _behind_an_event(bench: Bench) -> dict[str, float]:
    """Return when a request was answered that stands behind an event due later, s."""
    bench.apply(bench.configuration({CORE: layer_of(THETA)}))
    late = bench.event("Spike", layer=CORE, feature=0, y=0, x=0, timestamp=AHEAD)
    request = bench.event("ReadNeuronValue", layer=CORE, address=0)
    found = {"event due after": AHEAD / 1e6}
    with bench.running_watch():
        started = time.monotonic()
        if bench.heard([late, request], wanted=1, patience=2 * AHEAD / 1e6):
            found["request answered after"] = round(time.monotonic() - started, 4)
    bench.seen([], CORE)
    return found


def _seconds(action: Callable[[], Any]) -> float:
    started = time.monotonic()
    action()
    return round(time.monotonic() - started, 4)


def _reset_costs(bench: Bench) -> dict[str, Any]:
    """Return the s that each way takes to set all neurons of core 3 to their initial values."""
    core = layer_of(np.full((FULL[0], 1, 1, 1), 1), size=FULL[1:])
    configuration = bench.configuration({CORE: core})
    bench.apply(configuration)
    addresses = range(int(np.prod(FULL)))
    writing = [
        bench.event("WriteNeuronValue", layer=CORE, address=a, neuron_state=0) for a in addresses
    ]
    last = addresses[-1]

    def write_all() -> None:
        bench.write(writing)
        bench.state(CORE, last)

    found = {
        "neurons": len(addresses),
        "configuration": _seconds(lambda: (bench.apply(configuration), bench.state(CORE))),
        "neuron writes": _seconds(write_all),
    }
    if bench.link.can_reset_neurons:
        reset = lambda: (bench.link.reset_neurons(), bench.state(CORE))  # noqa: E731
        found["Model.reset()"] = _seconds(reset)
    return found


def _apply_time(bench: Bench) -> dict[str, float]:
    """Return the s that writing a configuration takes at two rates of the SPI bus."""
    configuration = bench.configuration({CORE: layer_of(np.ones((32, 1, 1, 1)), size=(32, 32))})
    found = {}
    for rate in SPI_RATES[::-1]:
        with bench.link.errors("setting the SPI clock"):
            bench.link.io.set_spi_clk_rate(rate)
        found[f"at {rate} Hz"] = _seconds(lambda: bench.apply(configuration))
    return found


def _clock_phase(bench: Bench) -> dict[str, Any]:
    """Return the ms from switching the slow clock on to its first two ticks."""
    core = layer_of(
        THETA, bias=np.array([-1]), initial_state=np.full((1, 1, 1), START), threshold=30_000
    )
    bench.apply(bench.configuration({CORE: core}))
    ticks: list[float] = []
    bench.link.slow_clock(RATE)
    started = time.monotonic()
    state = START
    try:
        while len(ticks) < 2 and time.monotonic() - started < 5 / RATE:
            seen = bench.state(CORE)
            moment = round(1000 * (time.monotonic() - started), 1)
            ticks += [moment] * (state - seen)
            state = seen
            time.sleep(POLL)
    finally:
        bench.link.slow_clock(None)
    return {"period, ms": 1000 / RATE, "ticks, ms": ticks[:2]}


def _sweep(bench: Bench) -> dict[str, int]:
    """Return the longest silence under steady events while maps of three sizes leak, µs."""
    found = {}
    for features in (1, 8, 16):
        size = (64, 64)
        weights = np.zeros((features, 1, 1, 1), np.int64)
        weights[0] = THETA
        # the neurons that fire do not leak, the others do
        bias = np.full(features, -1)
        bias[0] = 0 if features > 1 else 1
        core = layer_of(weights, size=size, bias=bias)
        bench.apply(bench.configuration({SWEPT: core}))
        events = [
            bench.event("Spike", layer=SWEPT, feature=0, y=0, x=0, timestamp=time_)
            for time_ in range(AHEAD // 4, AHEAD, STEADY)
        ]
        times = bench.spike_times(events, SWEPT, rate=RATE)
        gaps = np.diff(times)
        found[f"{features * size[0] * size[1]} neurons"] = int(gaps.max(initial=0))
    return found


def _dropped(bench: Bench) -> dict[str, Any]:
    """Return how many events the FPGA says it dropped during all experiments."""
    request = getattr(bench.link.io, "request_dropped_events_num", None)
    if request is None:
        raise BoardError("this samna has no request_dropped_events_num")
    bench.link.take_others()
    with bench.link.errors("asking for dropped events"):
        request()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        bench.link.poll()
        for event in bench.link.take_others():
            if hasattr(event, "num"):
                return {"dropped": int(event.num)}
        time.sleep(POLL)
    raise BoardError("no DroppedEventsNum came")


EXPERIMENTS = (
    Experiment(
        "reads_while_running",
        "whether requests, which carry no time, are answered while the stop watch runs",
        _reads_while_running,
        {"answered": 3, "dropped": 0},
    ),
    Experiment(
        "request_behind_event",
        "when a request is answered that stands behind an event of a later time",
        _behind_an_event,
        is_timed=True,
    ),
    Experiment("reset_costs", "how long each way of resetting takes, s", _reset_costs),
    Experiment("apply_time", "how long writing a configuration takes, s", _apply_time),
    Experiment(
        "clock_phase",
        "when the slow clock first ticks after it is switched on",
        _clock_phase,
        is_timed=True,
    ),
    Experiment(
        "leak_sweep", "longest silence while so many neurons leak, µs", _sweep, is_timed=True
    ),
    Experiment("dropped_events", "what the FPGA counts as dropped", _dropped),
)
