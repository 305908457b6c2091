"""The chip as a board, run on a virtual devkit: finding it, playing, settings, release."""

import _thread
import math
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_boards import rising_events, single_core, square_chain

from speckflex import virtual
from speckflex.boards import open_board
from speckflex.boards.chip._board import ChipBoard
from speckflex.boards.chip._power import RAILS
from speckflex.boards.chip._session import Stream, _chunks
from speckflex.boards.chip.attached import devices_of, find_device
from speckflex.boards.chip.settings import ChipSettings
from speckflex.boards.family import BoardName
from speckflex.boards.twin import Twin
from speckflex.boards.virtual import open_virtual
from speckflex.errors import BoardError, BoardNotFoundError, EventsError
from speckflex.events.streams import make_events
from speckflex.program.event_filter import EventFilter
from speckflex.program.records import InputStage
from speckflex.recordings.recording import Recording
from speckflex.twin.settings import TwinSettings


@pytest.fixture(scope="module")
def devkit():
    """An opened virtual devkit; programs replace each other on it."""
    with open_board("virtual:speck2e") as board:
        yield board


def pulses(times):
    """Return events on pixel 0."""
    zeros = np.zeros(len(times), np.int64)
    return make_events(np.asarray(times, np.int64), zeros, zeros, zeros)


def on_twin(program, events, settings=None, **options):
    with Twin(threads=1, settings=settings) as twin:
        twin.load(program)
        return twin.play(events, **options)


def assert_same_spikes(found, expected):
    """Assert the same spikes in every layer, with the same order and times."""
    assert [layer.name for layer in found.layers] == [layer.name for layer in expected.layers]
    for one, other in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(one.counts, other.counts)
        for events, same in zip(one.events, other.events, strict=True):
            np.testing.assert_array_equal(events, same)


@pytest.mark.parametrize("reset", [True, False])
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_a_devkit_spikes_like_the_twin(devkit, reset, seed):
    rng = np.random.default_rng(seed)
    program = square_chain(rng, n_cores=3)
    samples = [rising_events(rng, program.input.shape, n) for n in (150, 0, 40)]
    devkit.load(program)
    found = devkit.play(samples, reset=reset)
    assert_same_spikes(found, on_twin(program, samples, reset=reset))
    assert found.lost_events == 0
    assert [log.written for log in found.samples] == [150, 0, 40]


@pytest.mark.parametrize("path", ["dvs layer", "host"])
def test_events_enter_by_the_path_in_the_settings(rng, path):
    program = square_chain(rng, n_cores=2)
    events = rising_events(rng, program.input.shape, 100)
    with open_board("virtual:speck2f", input_path=path) as board:
        board.load(program)
        found = board.play(events)
    assert_same_spikes(found, on_twin(program, events))
    assert found.provenance.settings["path"] == path


def test_the_host_applies_an_input_stage_that_no_dvs_layer_can(devkit, rng):
    program = square_chain(rng, n_cores=1)
    _, height, width = program.input.shape
    stage = InputStage((2, 3 * height, 3 * width), pooling=(3, 3), mirror_y=True)
    program = replace(program, input=stage)
    events = rising_events(rng, stage.shape, 200)
    devkit.load(program)
    found = devkit.play(events)
    assert_same_spikes(found, on_twin(program, events))
    assert found.provenance.settings["path"] == "host"


def test_potentials_are_read_after_every_sample(devkit, rng):
    program = square_chain(rng, n_cores=1)
    core = replace(
        program.cores[0], threshold_high=32767, threshold_low=-32768, readout="potential"
    )
    program = replace(program, cores=(core,))
    samples = [rising_events(rng, program.input.shape, 60) for _ in range(3)]
    for reset in (True, False):
        devkit.load(program)
        found, expected = devkit.play(samples, reset=reset), on_twin(program, samples, reset=reset)
        np.testing.assert_array_equal(found.layer(0).potentials, expected.layer(0).potentials)
    np.testing.assert_array_equal(devkit.read_neurons(), expected.layer(0).potentials[-1])


def test_a_slow_clock_leaks_like_the_twins(rng):
    program = single_core(weight=1, bias=np.array([-3]), initial_state=np.full((1, 1, 1), 100))
    events = pulses([1_000, 5_500, 20_000])
    with open_board("virtual:speck2e", slow_clock=1000.0) as board:
        board.load(program)
        board.play(events)
        found = board.read_neurons().item()
    with Twin(threads=1, settings=TwinSettings(slow_clock_period=1000)) as twin:
        twin.load(program)
        twin.play(events)
        # the devkit's watch runs for 2 ms before a sample starts, and ticks twice in this time
        assert found == twin.read_neurons().item() - 2 * 3


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_a_devkit_filters_events_like_the_twin(seed):
    rng = np.random.default_rng(seed)
    program = square_chain(rng, n_cores=2)
    rule = EventFilter(
        str(rng.choice(["noise", "noise and hot pixels", "low pass"])),
        (int(rng.integers(0, 3)), int(rng.integers(0, 3))),
        int(rng.integers(1, 6)),
    )
    swapped = {"swap_xy": True} if len(set(program.input.shape[1:])) == 1 else {}
    stage = replace(program.input, event_filter=rule, mirror_x=True, **swapped)
    program = replace(program, input=stage)
    program = replace(program, chip="speck2f")
    samples = [rising_events(rng, program.input.shape, n) for n in (300, 0, 40)]
    for events in samples:
        events["t"] *= 20
    with open_board("virtual:speck2f", slow_clock=500) as board:
        board.load(program)
        found = board.play(samples)
    # with a tick every 2 ms one is at the sample's start, which is 2 ms on the devkit's watch
    expected = on_twin(program, samples, TwinSettings(slow_clock_period=2000))
    assert_same_spikes(found, expected)


def test_a_filter_without_a_slow_clock_is_refused_before_the_upload(devkit, rng):
    program = square_chain(rng, n_cores=1)
    program = replace(program, input=replace(program.input, event_filter=EventFilter()))
    with pytest.raises(BoardError, match="event filter counts ticks of the slow clock"):
        devkit.load(program)
    with pytest.raises(BoardError, match="has no program"):
        devkit.play(rising_events(rng, program.input.shape, 10))


def test_only_monitored_layers_are_in_the_recording(devkit, rng):
    program = square_chain(rng, n_cores=3)
    events = rising_events(rng, program.input.shape, 100)
    devkit.load(program)
    found = devkit.play(events, monitor=[-1, 0], keep_events=False)
    assert [layer.index for layer in found.layers] == [0, 2]
    assert found.layer(0).events is None
    np.testing.assert_array_equal(found.counts(), on_twin(program, events).counts())


def test_other_monitors_without_a_reset_are_refused(devkit):
    devkit.load(square_chain(np.random.default_rng(3), n_cores=2))
    devkit.play(pulses([10]), monitor=[0])
    devkit.play(pulses([10]), monitor=[0], reset=False)
    with pytest.raises(BoardError, match="changing that resets the neurons"):
        devkit.play(pulses([10]), monitor=[1], reset=False)


def test_spikes_of_unmonitored_layers_do_not_count_as_lost(devkit, rng):
    program = square_chain(rng, n_cores=2)
    events = rising_events(rng, program.input.shape, 100)
    devkit.load(program)
    found = devkit.play(events, monitor=[1], reset=False)
    assert found.lost_events == 0


def test_a_recording_has_its_provenance_also_when_it_is_loaded_again(devkit, tmp_path):
    program = single_core()
    devkit.load(program)
    found = devkit.play([pulses([10]), pulses([])])
    assert found.provenance.kind == "virtual"
    assert found.provenance.board == "virtual:speck2e"
    assert found.provenance.serial.startswith("virtual")
    assert found.provenance.program_sha256 == program.sha256
    assert found.provenance.settings["silence"] == "10.0"
    assert [log.stopped for log in found.samples] == ["silence", "silence"]
    found.save(tmp_path / "run.h5")
    assert Recording.load(tmp_path / "run.h5").samples == found.samples


def test_a_sample_in_real_time_takes_little_more_than_its_length():
    """A sample of 0.1 s may take 0.05 s more; twice that is allowed for busy processors."""
    with open_board("virtual:speck2e", speed=1.0) as board:
        board.load(single_core())
        times = np.arange(1, 101) * 1000
        board.play(pulses(times))
        started = time.monotonic()
        found = board.play([pulses(times)] * 3)
        overhead = (time.monotonic() - started) / 3 - 0.1
    assert 0 <= overhead < 0.1
    assert found.counts().ravel().tolist() == [100] * 3
    delays = found.events()["t"] - times
    assert (delays >= 0).all()


def test_the_power_of_every_rail_is_measured_on_demand():
    with open_board("virtual:speck2e", speed=1.0, power=100.0) as board:
        board.load(single_core())
        found = board.play(pulses([200_000]))
        assert board.power.keys() == set(RAILS)
        assert all(watts > 0 for watts in board.power.values())
        assert found.provenance.settings["power_logic"] == f"{board.power['logic']:.6g} W"


def test_the_readout_layer_names_the_class_that_spiked_most():
    core = replace(single_core().cores[0], weights=np.array([10, 127, 10, 10]).reshape(4, 1, 1, 1))
    with open_board("virtual:speck2f", readout_layer=True, slow_clock=100.0) as board:
        board.load(replace(single_core(), cores=(core,)))
        found = board.play(pulses(np.arange(1, 301) * 100))
        assert found.counts()[0].ravel().argmax() == 1
        assert found.counts()[0].ravel()[1] == 300
        assert set(board.pins[0][:, 1].tolist()) == {2}
        assert (board.pins[0][:, 0] >= 0).all()


def test_the_spikes_of_a_stream_are_assigned_to_samples_by_its_gaps():
    stream = Stream.of([pulses([5, 100]), pulses([]), pulses([7])], gap=1000)
    lead = stream.offsets[0]
    assert stream.offsets == [lead, lead + 1100, lead + 2100]
    assert stream.end == lead + 2107
    times = np.array([0, lead, lead + 1099, lead + 1100, lead + 2100, lead + 9000])
    assert stream.sample_of(times).tolist() == [0, 0, 0, 1, 2, 2]


@pytest.mark.parametrize("key", ["1", "serial"])
def test_a_device_is_found_by_index_and_by_serial_number(key):
    infos = [virtual.attach(name) for name in ("Speck2eTestBoard", "Speck2fModuleDevKit") * 2]
    try:
        devices = [d for d in devices_of(virtual.stand_in()) if d.info in infos]
        wanted = [device for device in devices if device.chip == "speck2f"][-1]
        name = wanted.name if key == "1" else BoardName("speck2f", wanted.serial)
        assert find_device(name, devices) == wanted
        with pytest.raises(BoardNotFoundError, match=f"attached: .*{wanted.serial}"):
            find_device(BoardName("speck2f", "nothing"), devices)
    finally:
        for info in infos:
            virtual.detach(info)


def test_without_the_vendors_samna_no_chip_can_be_opened():
    with pytest.raises(BoardNotFoundError, match="samna"):
        open_board("speck2e:0")


def test_an_open_device_is_refused_until_it_is_closed():
    info = virtual.attach("Speck2eDevKit")
    samna = virtual.stand_in()
    device = next(d for d in devices_of(samna) if d.info == info)
    settings = ChipSettings()
    try:
        with (
            ChipBoard(samna, device, name="first", settings=settings, speed=math.inf),
            pytest.raises(BoardError, match="is open already"),
        ):
            ChipBoard(samna, device, name="second", settings=settings)
        with ChipBoard(samna, device, name="third", settings=settings, speed=math.inf) as board:
            board.load(single_core())
            assert board.play(pulses([10])).counts().sum() == 1
    finally:
        virtual.detach(info)


def test_a_closed_board_refuses_to_play_and_detaches_its_devkit():
    before = devices_of(virtual.stand_in())
    board = open_board("virtual:speck2e")
    board.close()
    board.close()
    assert devices_of(virtual.stand_in()) == before
    with pytest.raises(BoardError, match="is closed"):
        board.play(pulses([1]))


def test_a_board_without_a_program_refuses_to_play(devkit):
    with open_board("virtual:speck2e") as board, pytest.raises(BoardError, match="no program"):
        board.play(pulses([1]))


def test_an_interrupt_ends_a_sample_at_once_and_releases_the_device():
    threads = threading.active_count()
    before = devices_of(virtual.stand_in())
    started = time.monotonic()
    with open_virtual("speck2e", speed=1.0) as board:
        board.load(single_core())
        threading.Timer(0.3, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            board.play(pulses([60_000_000]))
    assert time.monotonic() - started < 20
    assert devices_of(virtual.stand_in()) == before
    assert threading.active_count() <= threads + 1


@pytest.mark.parametrize("reads", ["answered", "dropped"])
def test_after_an_interrupt_the_next_sample_plays(reads):
    """What the broken-off play has left on the board waits for a stop watch that stands still."""
    unverified = virtual.Unverified(reads_while_running=reads)
    with open_virtual("speck2e", speed=1.0, deadline=5.0, unverified=unverified) as board:
        board.load(single_core())
        threading.Timer(0.5, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            board.play(pulses(np.arange(1, 200) * 20_000))
        started = time.monotonic()
        found = board.play(pulses([1000, 2000, 3000]))
        assert found.counts().sum() == 3
        assert found.lost_events == 0
        # at most what was written ahead is waited for
        assert time.monotonic() - started < 6
        assert board.read_neurons().item() == 0


def test_events_far_apart_are_not_written_at_once():
    """So that a broken-off play leaves no event behind that is due in a minute."""
    samples = [pulses([0, 10, 5_000_000, 5_000_500, 9_000_000])]
    stream = Stream.of(samples, gap=10)
    writer = SimpleNamespace(make=lambda events, _offset: [None] * len(events))
    sizes = [len(events) for _, events in _chunks(writer, stream, 256)]
    assert sizes == [2, 2, 1]
    assert [len(events) for _, events in _chunks(writer, stream, 1)] == [1] * 5


def test_a_stream_beyond_the_counters_32_bits_is_played_in_parts():
    """71.6 minutes are the end of the counter; states are kept from sample to sample."""
    program = single_core(weight=64)
    sample = pulses([1000, 2_200_000_000])
    with open_board("virtual:speck2f") as board:
        board.load(replace(program, chip="speck2f"))
        found = board.play([sample] * 3, reset=False)
    assert found.counts().ravel().tolist() == [1, 1, 1]
    assert [events["t"].tolist() for events in found.layer(0).events] == [[2_200_000_000]] * 3


def test_a_sample_that_the_counter_can_not_hold_is_refused(devkit):
    devkit.load(single_core())
    with pytest.raises(BoardError, match=r"sample 1 ends at 4295 s, .* cut the sample in parts"):
        devkit.play([pulses([10]), pulses([2**32])])


@pytest.mark.parametrize(
    ("model_reset", "initial", "wanted", "way"),
    [
        ("initial values", 40, "auto", "model"),
        ("zero", 0, "auto", "model"),
        ("zero", 40, "auto", "configuration"),
        ("initial values", 40, "configuration", "configuration"),
        ("initial values", 40, "model", "model"),
        ("zero", 40, "neurons", "neurons"),
    ],
)
def test_samples_start_from_the_initial_states_by_the_quickest_way_that_is_proved(
    monkeypatch, model_reset, initial, wanted, way
):
    program = single_core(weight=50, initial_state=np.full((1, 1, 1), initial))
    events = pulses([10, 20, 30])
    unverified = virtual.Unverified(model_reset=model_reset)
    applied = []
    with open_virtual("speck2e", unverified=unverified, reset=wanted) as board:
        board.load(program)
        board.play(events)
        monkeypatch.setattr(board, "_apply", lambda *_: applied.append(1) or original(*_))
        original = type(board)._apply.__get__(board)
        found = board.play([events] * 3)
    assert_same_spikes(found, on_twin(program, [events] * 3))
    assert found.provenance.settings["reset_by"] == way
    assert len(applied) == (3 if way == "configuration" else 0)


def test_a_model_reset_that_is_not_proved_is_refused_where_it_is_wanted():
    program = single_core(initial_state=np.full((1, 1, 1), 40))
    with (
        open_virtual("speck2e", reset="model") as board,
        pytest.raises(BoardError, match="did not give the neurons their initial states"),
    ):
        board.load(program)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("virtual:speck9", {}, "virtual:speck9 is not known"),
        ("virtual:speck2e", {"threads": 3}, "threads is no setting"),
        ("speck2e:0", {"silense": 3}, "silense is no setting of this board: choose from silence,"),
        ("twin", {"thread": 1}, "board twin: thread is no setting of this board: .* threads,"),
        ("replay:run.h5", {"threads": 1}, "threads is no setting of this board: it has none"),
        ("virtual:speck2e", {"speed": -1.0}, "give a positive factor"),
    ],
)
def test_unknown_boards_and_settings_are_refused(name, options, message):
    with pytest.raises(BoardError, match=message):
        open_board(name, **options)


def test_events_and_layers_that_do_not_exist_are_refused(devkit):
    devkit.load(single_core())
    with pytest.raises(EventsError, match="event 0 has p = 1"):
        devkit.play(make_events(*(np.array([v]) for v in (1, 0, 0, 1))))
    with pytest.raises(BoardError, match="layer 3 is not in the program"):
        devkit.play(pulses([1]), monitor=[3])
