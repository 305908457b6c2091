"""The event filter is part of a program: in its file, in its hash, and on the twin."""

import json
import zipfile
from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
import sinabs.layers as sl
from torch import nn
from virtual_boards import single_core

from speckflex.boards.twin import Twin
from speckflex.conversion.convert import convert
from speckflex.conversion.options import ConversionOptions
from speckflex.errors import ConversionError, FileFormatError
from speckflex.events.streams import make_events
from speckflex.fitting.check import check_program
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import InputStage
from speckflex.twin.settings import TwinSettings

FILTERS = [
    EventFilter(),
    EventFilter("noise and hot pixels", (2, 0), 3),
    EventFilter("low pass", window=2**16 - 1),
]


def filtering(rule, program=None):
    """Return a program with that filter, by default of one neuron a pixel that always fires."""
    program = program or single_core(size=8)
    return replace(program, input=replace(program.input, event_filter=rule))


def passed(rule, events, *, period=10):
    """Return which of the events pass on the twin, whose clock ticks each `period` µs."""
    with Twin(threads=1, settings=TwinSettings(slow_clock_period=period)) as twin:
        twin.load(filtering(rule))
        times = twin.play(make_events(*np.array(events).T, np.zeros(len(events), int))).events()
    return times["t"].tolist()


@pytest.mark.parametrize("rule", ["noise", 5])
def test_what_is_no_filter_is_refused_by_name(rule):
    with pytest.raises(ConversionError, match=f"event_filter {rule!r} is no EventFilter: give one"):
        filtering(rule)
    network = nn.Sequential(nn.Conv2d(2, 1, 1, bias=False), sl.IAFSqueeze(batch_size=1))
    with pytest.raises(ConversionError, match="is no EventFilter"):
        convert(network, input_shape=(2, 4, 4), options=ConversionOptions(event_filter=rule))


@pytest.mark.parametrize("rule", FILTERS, ids=lambda rule: rule.mode)
def test_a_filter_is_in_the_file_and_in_the_hash(rule, tmp_path):
    program = filtering(rule)
    program.save(tmp_path / "p.speck")
    loaded = Program.load(tmp_path / "p.speck")
    assert loaded.input == program.input
    assert loaded.sha256 == program.sha256
    hashes = {filtering(other).sha256 for other in (None, *FILTERS)}
    assert len(hashes) == 4


def test_a_program_without_a_filter_is_a_file_that_any_speckflex_reads(tmp_path):
    """Format 1 has no word of filters, neither in the manifest nor in what is hashed."""
    path = tmp_path / "p.speck"
    single_core().save(path)
    manifest = json.loads(zipfile.ZipFile(path).read("manifest.json"))
    assert manifest["format"] == 1
    without = {item.name for item in fields(InputStage)} - {"event_filter"}
    assert set(manifest["program"]["input"]) == without


def test_a_program_with_a_filter_is_a_file_that_an_old_speckflex_refuses(tmp_path):
    filtering(EventFilter()).save(tmp_path / "p.speck")
    manifest = json.loads(zipfile.ZipFile(tmp_path / "p.speck").read("manifest.json"))
    assert manifest["format"] == 2


@pytest.mark.parametrize(
    "stated",
    [
        {"mode": "loud", "size": [1, 1], "window": 1},
        {"mode": "noise", "size": [1, 1, 1], "window": 1},
        {"mode": "noise", "size": [1, 8], "window": 1},
        {"mode": "noise", "size": 3, "window": 1},
        {"mode": "noise", "size": "ab", "window": 1},
        {"mode": "noise", "size": [1, 1], "window": 1.5},
        {"mode": ["noise"], "size": [1, 1], "window": 1},
        {"unheard": 1},
        [1, 2],
        "noise",
    ],
)
def test_a_file_with_a_foreign_filter_is_refused(stated, tmp_path):
    path = tmp_path / "p.speck"
    filtering(EventFilter()).save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(contents["manifest.json"])
    manifest["program"]["input"]["event_filter"] = stated
    contents["manifest.json"] = json.dumps(manifest)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(FileFormatError, match="its contents make no program"):
        Program.load(path)


@pytest.mark.parametrize(
    "values",
    [
        {"mode": "loud"},
        {"window": 0},
        {"window": 2**16},
        {"window": True},
        {"size": (-1, 0)},
        {"size": (0, 8)},
        {"size": 1},
    ],
)
def test_impossible_filters_are_refused(values):
    with pytest.raises(ConversionError, match=r"event filter: .*: (choose|give)"):
        EventFilter(**values)


def test_numbers_of_numpy_are_taken_as_python_s():
    rule = EventFilter(size=tuple(np.array([2, 3])), window=np.int64(4))
    assert rule == EventFilter(size=(2, 3), window=4)
    assert {type(value) for value in (*rule.size, rule.window)} == {int}


def test_noise_needs_a_neighbour_in_space_and_in_ticks():
    events = [(0, 1, 1), (5, 2, 2), (12, 3, 3), (33, 3, 4), (35, 7, 7)]
    assert passed(EventFilter("noise", (1, 1), 1), events) == [5, 12]
    # at 33 the clock stands at 3, two ticks after the neighbour's event
    assert passed(EventFilter("noise", (1, 1), 2), events) == [5, 12, 33]


def test_a_hot_pixel_is_no_company_to_itself():
    events = [(time, 4, 4) for time in range(5)]
    assert passed(EventFilter("noise"), events) == [1, 2, 3, 4]
    assert passed(EventFilter("noise and hot pixels"), events) == []


def test_a_low_pass_drops_what_comes_too_soon_after_its_own_pixel():
    events = [(0, 4, 4), (3, 4, 5), (9, 4, 4), (19, 4, 5), (45, 4, 4)]
    assert passed(EventFilter("low pass", window=1), events) == [0, 3, 45]


def test_a_filter_of_the_whole_map_and_a_long_window_passes_all_but_the_first(rng):
    pixels = rng.permutation(list(product(range(8), repeat=2)))
    events = [(time, int(x), int(y)) for time, (x, y) in enumerate(pixels)]
    times = [time for time, *_ in events]
    assert passed(EventFilter(size=(7, 7), window=15), events) == times[1:]


@pytest.mark.parametrize("pooled", [False, True])
def test_a_network_is_converted_with_a_filter_behind_its_input_stage(pooled):
    network = nn.Sequential(
        *([sl.SumPool2d(2)] if pooled else []),
        nn.Conv2d(2, 3, 3, bias=False),
        sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0),
    )
    plain = convert(network, (2, 16, 16))
    program = convert(network, (2, 16, 16), options=ConversionOptions(event_filter=FILTERS[1]))
    assert program.input == replace(plain.input, event_filter=FILTERS[1])
    assert not program.input.is_identity
    assert np.array_equal(program.cores[0].weights, plain.cores[0].weights)


def test_a_check_says_that_a_filter_needs_a_slow_clock():
    (check,) = [c for c in check_program(filtering(FILTERS[0])).checks if c.rule == "event filter"]
    assert check.severity == "note"
    assert "ticks of the slow clock" in check.sentence


def test_a_filter_before_more_channels_than_the_sensor_has_is_found_before_any_upload():
    core = replace(single_core().cores[0], weights=np.ones((1, 3, 1, 1)), input_shape=(3, 1, 1))
    program = Program((core,), InputStage((3, 1, 1), event_filter=EventFilter()), "speck2f")
    errors = check_program(program).errors
    assert [check.rule for check in errors] == ["input channels"]
    assert "filter" in errors[0].sentence
