"""Every rule of the chip is checked on its own, with the figure that breaks it."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import sinabs.layers as sl
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from speckflex.conversion._quantisation import quantisation_checks
from speckflex.conversion.convert import check_network, convert_with_checks
from speckflex.fitting._limits import layer_warnings
from speckflex.fitting.check import check_program
from speckflex.fitting.memory import layer_memory
from speckflex.fitting.placement import place_layers
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage


def core(out=2, channels=1, kernel=(3, 3), size=(8, 8), **changes):
    """Return a core without a fault."""
    values = {
        "name": "conv",
        "weights": np.full((out, channels, *kernel), 100),
        "threshold_high": 200,
        "threshold_low": -200,
        "input_shape": (channels, *size),
    }
    return Core(**(values | changes))


def alone(only, **changes):
    """Return a program of one core."""
    stage = InputStage(only.input_shape, **changes)
    return Program((only,), stage)


def rules(program, severity="error"):
    return [check.rule for check in check_program(program).checks if check.severity == severity]


def test_a_faultless_program_has_no_finding():
    table = check_program(place_layers(alone(core())))
    assert table.checks == ()
    assert table.errors == ()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"kernel": (17, 17), "size": (30, 30)}, "kernel size"),
        ({"kernel": (3, 2)}, "kernel shape"),
        ({"stride": (3, 1)}, "stride"),
        ({"padding": (0, 8)}, "padding"),
        ({"out": 1025, "kernel": (1, 1), "size": (1, 1)}, "features"),
        ({"channels": 1025, "kernel": (1, 1), "size": (1, 1)}, "features"),
        ({"size": (129, 8), "stride": (4, 1)}, "input map"),
        ({"size": (67, 8)}, "output map"),
        ({"threshold_low": 0}, "lower bound"),
    ],
)
def test_each_limit_of_a_layer_is_named(changes, rule):
    found = rules(alone(core(**changes)))
    assert rule in found
    assert rules(replace(alone(core(**changes)), chip="unbounded")) == []


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((17, 17), "4 x 17 x 17 (1156 inputs) by one kernel of 17 x 17"),
        ((40, 40), "such as by 4, to 10 x 10"),
        ((99, 99), "16 x 16 at most"),
    ],
)
def test_a_linear_layer_on_too_large_a_map_is_called_one(size, words):
    dense = core(channels=4, kernel=size, size=size)
    (check,) = [c for c in check_program(alone(dense)).errors if c.rule == "kernel size"]
    assert check.message.startswith("as a linear layer it reads its whole map")
    assert words in check.sentence
    assert "pool the map in front of it" in check.remedy


def test_a_large_kernel_on_a_larger_map_is_no_linear_layer():
    striding = core(kernel=(17, 17), size=(20, 20), stride=(8, 8))
    assert striding.output_shape == (2, 1, 1)
    (check,) = [c for c in check_program(alone(striding)).errors if c.rule == "kernel size"]
    assert "linear" not in check.sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": (16, 16), "size": (30, 30)},
        {"stride": (8, 4)},
        {"padding": (7, 7)},
        {"out": 1024, "kernel": (1, 1), "size": (1, 1)},
        {"size": (128, 128), "stride": (2, 2)},
        {"size": (66, 8)},
        {"threshold_low": -1},
    ],
)
def test_what_just_keeps_a_limit_is_no_error(changes):
    assert rules(alone(core(**changes))) == []


def chain(pooling):
    first = core(size=(26, 26), destinations=(Destination(1, pooling),))
    second = core(channels=2, size=(24 // pooling, 24 // pooling))
    return Program((first, second), InputStage(first.input_shape))


def test_poolings_are_those_of_the_chip():
    assert [pooling for pooling in (1, 2, 3, 4, 6, 8) if not rules(chain(pooling))] == [1, 2, 4]


def test_more_destinations_than_two_are_an_error():
    targets = tuple(core(channels=2, size=(6, 6)) for _ in range(3))
    for count in (2, 3):
        sends = tuple(Destination(index + 1) for index in range(count))
        program = Program((core(destinations=sends), *targets[:count]), InputStage((1, 8, 8)))
        assert rules(program) == (["fan-out"] if count == 3 else [])


def test_the_input_stage_has_limits_of_its_own():
    pooled = core(size=(10, 10))
    assert rules(Program((pooled,), InputStage((1, 30, 30), pooling=(3, 3)))) == ["input pooling"]
    third = core(channels=3, size=(8, 8))
    assert rules(Program((third,), InputStage((3, 8, 8)))) == []
    assert rules(Program((third,), InputStage((3, 16, 16), pooling=(2, 2)))) == ["input channels"]
    cut = InputStage((1, 200, 8), size=(8, 8))
    assert rules(Program((core(),), cut)) == ["input map"]
    many = tuple(Destination(index) for index in range(3))
    assert rules(Program((core(),) * 3, InputStage((1, 8, 8), many))) == ["input fan-out"]


def test_what_does_not_fit_is_an_error_with_a_remedy():
    [error] = check_program(alone(core(out=128, size=(34, 34)))).errors
    assert error.rule == "placement"
    assert "131072 neuron words" in error.message
    assert "64 output channels" in error.remedy
    ten = Program((core(),) * 10, InputStage((1, 8, 8)))
    assert rules(ten) == ["placement"]


def test_weights_that_reach_the_threshold_are_counted():
    weights = np.array([20, 19, 21, -128]).reshape(2, 1, 1, 2)
    strong = core(weights=weights, threshold_high=20)
    found = {check.rule: check.value for check in layer_warnings(alone(strong), strong)}
    assert found["strong weights"] == 2
    silent = replace(strong, readout="potential")
    assert "strong weights" not in {c.rule for c in layer_warnings(alone(silent), silent)}


def test_channels_without_weights_are_counted():
    weights = np.zeros((4, 1, 3, 3))
    weights[1, 0, 2, 2] = 90
    dead = core(weights=weights)
    [check] = layer_warnings(alone(dead), dead)
    assert (check.rule, check.value, check.severity) == ("dead channels", 3, "warning")


def test_unused_bits_a_bias_and_an_uneven_map_are_told():
    odd = core(size=(7, 7), weights=np.full((2, 1, 3, 3), 9), destinations=(Destination(1, 2),))
    odd = replace(odd, bias=np.array([5, -9]))
    program = Program((odd, core(channels=2, size=(2, 2), kernel=(1, 1))), InputStage((1, 7, 7)))
    found = {check.rule: check for check in check_program(program).checks}
    assert found["weight range"].value == 9
    assert found["bias"].value == 9
    assert "last 1 rows and 1 columns" in found["pooling edge"].message


def test_what_is_known_and_feared_of_cores_0_and_1_is_told():
    placed = place_layers(alone(replace(core(), bias=np.array([-1, -1]))), cores={0: 1})
    found = {check.rule: check for check in check_program(placed).checks}
    assert (found["core"].value, found["core"].severity) == (1, "note")
    assert (found["withheld spike"].value, found["withheld spike"].severity) == (1, "warning")
    assert "core 1, whose leak is not usable" in found["leak"].message
    elsewhere = check_program(place_layers(alone(replace(core(), bias=np.array([-1, -1])))))
    assert {"core", "withheld spike", "leak"}.isdisjoint(check.rule for check in elsewhere.checks)


@pytest.mark.parametrize(("interval", "rules_found"), [(4, []), (5, ["decimator table"])])
def test_a_decimator_on_which_documents_differ_is_told(interval, rules_found):
    assert rules(alone(core(decimator_interval=interval)), "warning") == rules_found


def test_a_polarity_that_passes_alone_is_told_and_merged_ones_are_noted():
    both = core(channels=2)
    assert rules(alone(both, keep_off=False), "warning") == ["feature number"]
    assert rules(alone(both, keep_on=False), "warning") == ["feature number"]
    stage = InputStage((2, 8, 8), merge_polarities=True)
    merged = Program((core(),), stage)
    assert (rules(merged, "warning"), rules(merged, "note")) == ([], ["feature number"])


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_quantisation_figures_are_those_of_their_definitions(seed, spread):
    rng = np.random.default_rng(seed)
    floats = rng.normal(0, spread, (3, 2, 3, 3)) ** 3
    scale = 127 / np.abs(floats).max()
    layer = core(
        out=3,
        channels=2,
        weights=np.round(floats * scale),
        threshold_high=max(1, min(32767, round(spread * scale))),
        scale=scale,
    )
    found = {check.rule: check.value for check in quantisation_checks(layer, floats, spread)}
    difference = layer.weights / scale - floats
    expected = np.sqrt((difference**2).sum()) / np.sqrt((floats**2).sum())
    assert found["8-bit error"] == pytest.approx(expected)
    lost = ((layer.weights == 0) & (floats != 0)).sum() / (floats != 0).sum()
    assert found.get("lost weights", 0) == pytest.approx(lost)
    assert found["threshold error"] == pytest.approx(layer.threshold_high / scale / spread - 1)


def float_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False),
        sl.IAFSqueeze(batch_size=1),
        sl.SumPool2d(2),
        nn.Conv2d(4, 3, 3, bias=False),
    )


def test_a_conversion_carries_mends_and_figures_per_layer():
    checks = convert_with_checks(float_network(), (2, 12, 12)).checks
    found = {(check.layer, check.rule) for check in checks}
    assert {("1", "min_v_mem"), ("0", "8-bit error"), ("3", "8-bit error")} <= found
    assert ("0", "threshold error") in found
    assert ("3", "threshold error") not in found
    ranks = [["error", "warning", "note"].index(check.severity) for check in checks]
    assert ranks == sorted(ranks)


def test_a_table_is_plain_json_with_need_and_have():
    table = check_network(float_network(), (2, 12, 12))
    plain = json.loads(json.dumps(table.to_dict()))
    assert plain["chip"] == "speck2e"
    assert [row["name"] for row in plain["layers"]] == ["0", "3"]
    for row, layer in zip(plain["layers"], table.layers, strict=True):
        assert row["core"] in row["fitting_cores"]
        assert row["kernel_words"] <= row["holds"][0]
        assert row["neuron_words"] <= row["holds"][1]
        assert row["output_shape"] == list(layer.output_shape)


def test_a_network_that_can_not_be_converted_gives_its_problems_and_no_rows():
    network = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU6(), nn.Conv2d(2, 2, 3), nn.MaxPool2d(2))
    table = check_network(network, (2, 12, 12))
    assert table.layers == ()
    assert {check.rule for check in table.errors} >= {"bias", "layer kind"}


def test_rows_count_the_words_of_the_program():
    program = alone(core(out=5, bias=np.ones(5)))
    [row] = check_program(program).layers
    memory = layer_memory(program.cores[0])
    assert (row.kernel_words, row.neuron_words, row.bias_words) == (
        memory.kernel_words,
        memory.neuron_words,
        5,
    )
    assert (row.core, row.holds) == (None, None)


def test_a_saved_program_is_checked_without_torch(tmp_path):
    alone(core(stride=(3, 3))).save(tmp_path / "model.speck")
    code = (
        "import sys; from speckflex.fitting.check import check_program;"
        "from speckflex.program import Program;"
        f"table = check_program(Program.load({str(tmp_path / 'model.speck')!r}));"
        "print(table.errors[0].rule, 'torch' in sys.modules)"
    )
    result = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout.split() == ["stride", "False"]
