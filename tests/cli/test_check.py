"""`speckflex check`: one conversion, whatever is asked for beside the table."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import networks_of_tests
import numpy as np
import pytest
import sinabs.layers as sl
import torch
from click.testing import CliRunner
from torch import nn

import speckflex
from speckflex.cli import main
from speckflex.conversion.convert import convert
from speckflex.events.streams import make_events
from speckflex.fitting import kept_tables
from speckflex.networks.files import save_network
from speckflex.program.program import Program

DATA = ("--data", "synthetic-digits", "--samples", "1")


def small_network():
    """A network whose map of 16x16 the pooling divides, so that nothing is warned of."""
    network = networks_of_tests.small_network()
    network.conv1.padding = (0, 0)
    return network


def demanding_network():
    """A layer whose synaptic operations no core keeps up with."""
    conv = nn.Conv2d(2, 64, 8, stride=2, padding=3, bias=False)
    return nn.Sequential(conv, sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0))


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def conversions(monkeypatch):
    """The layers that each conversion has discretised."""
    module = importlib.import_module("speckflex.conversion.convert")
    discretise, made = module.discretise, []

    def watched(layers, *limits):
        made.append(layers)
        return discretise(layers, *limits)

    monkeypatch.setattr(module, "discretise", watched)
    return made


def saved(network, folder):
    path = folder / "net.pt"
    save_network(network, path)
    return path


def test_table_diagram_and_load_come_of_one_conversion(tmp_path, conversions):
    drawing = tmp_path / "net.svg"
    result = run("check", saved(small_network(), tmp_path), *DATA, "--diagram", drawing)
    assert result.exit_code == 0, result.output
    assert len(conversions) == 1
    assert "on core 7" in drawing.read_text()
    assert "synaptic operations" in result.stdout


def test_a_network_that_does_not_fit_is_drawn_without_cores_of_one_conversion(
    tmp_path, conversions
):
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=3, bias=False), sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)
    )
    drawing = tmp_path / "net.svg"
    result = run(
        "check", saved(network, tmp_path), "--input-shape", "2,34,34", "--diagram", drawing
    )
    assert result.exit_code == 1
    assert "stride" in result.stdout
    assert len(conversions) == 1
    assert "on no core" in drawing.read_text()


def test_a_network_that_cannot_be_converted_is_listed_and_not_drawn(tmp_path):
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3),
        sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 3, 3, bias=False),
        sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0),
    )
    drawing = tmp_path / "net.svg"
    result = run(
        "check", saved(network, tmp_path), "--input-shape", "2,34,34", "--diagram", drawing
    )
    assert result.exit_code == 1
    assert "error: " in result.stdout
    assert "not drawn" in result.stderr
    assert not drawing.exists()


def test_the_table_names_what_each_layer_is(tmp_path):
    command = ("check", saved(small_network(), tmp_path), "--input-shape", "2,34,34")
    lines = run(*command).stdout.splitlines()
    # the columns that don't fit beside the others follow below
    rows = {line.split()[0]: line for line in reversed(lines) if line.strip()}
    assert " conv 3x3 stride 2, pool 4 " in rows["conv1"]
    assert rows["linear"].split()[1] == "linear"
    facts = json.loads(run(*command, "--json").stdout)
    shown = [[layer[name] for name in ("kind", "kernel", "stride")] for layer in facts["layers"]]
    assert shown == [["conv", [3, 3], [2, 2]], ["linear", [4, 4], [1, 1]]]
    assert [layer["pooling"] for layer in facts["layers"]] == [[4], []]


def test_a_padded_convolution_over_a_small_map_is_no_linear_layer(tmp_path):
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    network = nn.Sequential(conv, sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0))
    result = run("check", saved(network, tmp_path), "--input-shape", "2,3,3")
    assert " conv 3x3 " in result.stdout


def test_the_verdict_is_the_first_line(tmp_path):
    fitting = saved(small_network(), tmp_path)
    lines = run("check", fitting, "--input-shape", "2,34,34").stdout.splitlines()
    assert lines[0] == "fits speck2e"
    biased = small_network()
    biased.conv1.bias = nn.Parameter(torch.ones(4))
    lines = run("check", saved(biased, tmp_path), "--input-shape", "2,34,34").stdout.splitlines()
    assert lines[0] == "fits speck2e, with 1 warning"
    large = nn.Sequential(
        nn.Conv2d(2, 64, 3, padding=1, bias=False), sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)
    )
    command = ("check", saved(large, tmp_path), "--input-shape", "2,128,128")
    result = run(*command)
    errors = [line for line in result.stdout.splitlines() if line.startswith("error: ")]
    assert result.stdout.startswith(f"does not fit speck2e: {len(errors)} error")
    facts = json.loads(run(*command, "--json").stdout)
    assert facts["fits"] is False
    assert facts["verdict"] == result.stdout.splitlines()[0]


def test_a_bias_that_folding_leaves_out_is_warned_of_with_its_size(tmp_path):
    network = small_network()
    conv = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    bias = torch.zeros(conv.out_channels)
    bias[-1] = -0.25
    conv.bias = nn.Parameter(bias)
    path, program = saved(network, tmp_path), tmp_path / "net.speck"
    for command in (("check", path), ("convert", path, "-o", program)):
        result = run(*command, "--input-shape", "2,34,34")
        assert result.exit_code == 0, result.output
        warnings = [line for line in result.output.splitlines() if line.startswith("warning")]
        assert len(warnings) == 1
        assert "up to 0.25 firing thresholds per time step" in warnings[0]
    again = run("check", program).stdout.splitlines()
    assert warnings == [line for line in again if line.startswith("warning")]
    deployed = json.loads(run("deploy", program, *DATA, "--json").stdout)
    kept = [check["message"] for check in deployed["checks"] if check["rule"] == "folding"]
    assert len(kept) == 1
    assert kept[0] in warnings[0]


def test_what_folding_left_out_does_not_change_the_program(tmp_path):
    plain, biased = small_network(), small_network()
    biased.conv1.bias = nn.Parameter(torch.full((4,), 0.5))
    programs = []
    for network in (plain, biased):
        path = tmp_path / "net.speck"
        run("convert", saved(network, tmp_path), "-o", path, "--input-shape", "2,34,34")
        programs.append(Program.load(path))
    assert programs[0].sha256 == programs[1].sha256
    assert ["folding" in program.metadata for program in programs] == [False, True]


@pytest.mark.parametrize("text", ["", "two\nlines"])
def test_a_hand_written_note_stays_one_line(tmp_path, text):
    program = convert(small_network(), (2, 34, 34))
    replace(program, metadata={"folding": text}).save(tmp_path / "net.speck")
    lines = run("check", tmp_path / "net.speck").stdout.splitlines()
    shown = [line for line in lines if line.startswith("warning")]
    assert len(shown) == bool(text)
    assert all("two lines: " in line for line in shown)


def test_a_recording_that_runs_backwards_is_warned_of(tmp_path):
    events = make_events([0, 50, 20, 60, 10], [1] * 5, [1] * 5, [0] * 5)
    np.save(tmp_path / "late.npy", events)
    command = ("check", saved(small_network(), tmp_path), "--data", tmp_path / "late.npy")
    result = run(*command, "--input-shape", "2,34,34")
    assert result.exit_code == 0, result.output
    warnings = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "late.npy: 2 of 5 events have an earlier time" in warnings[0]
    assert "the first is event 2:" in warnings[0]
    facts = json.loads(run(*command, "--input-shape", "2,34,34", "--json").stdout)
    assert facts["data"]["warnings"] == [warnings[0].removeprefix("warning: ")]


def test_a_network_without_bias_is_not_warned_of(tmp_path):
    result = run("check", saved(small_network(), tmp_path), "--input-shape", "2,34,34")
    assert "left out" not in result.output


def test_the_last_line_says_whether_the_cores_keep_up(tmp_path):
    bundled = Path(speckflex.__file__).parent / "models" / "synthetic-digits.pt"
    start = "with these recordings and at an unverified rate, the chip "
    ends = set()
    (tmp_path / "demanding").mkdir()
    for network in (saved(demanding_network(), tmp_path / "demanding"), bundled):
        command = ("check", network, *DATA)
        facts = json.loads(run(*command, "--json").stdout)
        behind = [layer["name"] for layer in facts["load"] if not layer["passed"]]
        end = f"does not keep up: {', '.join(behind)}" if behind else "keeps up"
        assert run(*command).stdout.splitlines()[-1] == start + end
        assert facts["keeps_up"] == (not behind)
        ends.add(bool(behind))
    assert ends == {False, True}
    shape = ("--input-shape", "2,34,34")
    assert json.loads(run("check", bundled, *shape, "--json").stdout)["keeps_up"] is None


@pytest.fixture
def checked(tmp_path, monkeypatch, conversions):
    """The file of a network whose table is kept, and what `check` said of it."""
    monkeypatch.setenv("SPECKFLEX_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "n.pt"
    save_network(small_network(), path)
    said = run("check", path, "--input-shape", "2,34,34")
    assert said.exit_code == 0, said.output
    assert len(conversions) == 1
    return path, said.stdout


def test_an_unchanged_network_is_told_from_the_kept_table(checked, conversions):
    path, said = checked
    assert run("check", path, "--input-shape", "2,34,34").stdout == said
    as_json = run("check", path, "--input-shape", "2,34,34", "--json")
    assert json.loads(as_json.stdout)["verdict"] == said.splitlines()[0]
    assert len(conversions) == 1


def another_network(path, monkeypatch):
    network = small_network()
    network.conv1.weight.data *= 2
    save_network(network, path)


def damaged_table(path, monkeypatch):
    [table] = (path.parent / "cache" / "checks").iterdir()
    table.write_bytes(table.read_bytes()[:-9])


def another_version(path, monkeypatch):
    monkeypatch.setattr(kept_tables, "_versions", lambda: ["torch 9"])


def no_folder(path, monkeypatch):
    monkeypatch.setenv("SPECKFLEX_CACHE", str(path))  # a file, in which no folder can be


@pytest.mark.parametrize("change", [another_network, damaged_table, another_version, no_folder])
def test_what_may_change_the_table_converts_again(checked, conversions, monkeypatch, change):
    path, _ = checked
    change(path, monkeypatch)
    assert run("check", path, "--input-shape", "2,34,34").exit_code == 0
    assert len(conversions) == 2


@pytest.mark.parametrize("more", [("--chip", "speck2f"), DATA, ("--diagram", "out.svg")])
def test_other_questions_convert_again(checked, conversions, monkeypatch, more):
    path, _ = checked
    monkeypatch.chdir(path.parent)
    assert run("check", path, "--input-shape", "2,34,34", *more).exit_code == 0
    assert len(conversions) == 2
