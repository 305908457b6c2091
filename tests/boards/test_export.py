"""Exports for samna alone: the configuration, the flash image, the script that loads one."""

import hashlib
import json
import runpy
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from virtual_boards import square_chain

from speckflex import virtual
from speckflex.boards.chip.export import (
    FLASH_BYTES,
    ExportSettings,
    export_configuration,
    export_flash,
    export_script,
)
from speckflex.boards.chip.settings import ChipSettings
from speckflex.cli import main
from speckflex.errors import BoardError
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program


@pytest.fixture
def program():
    """A program of three cores with states, thresholds and pooling."""
    return square_chain(np.random.default_rng(5), 3)


@pytest.fixture
def as_samna(monkeypatch):
    """The stand-in under the name samna, with a free devkit, as long as the test runs."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("samna", "samnagui")]:
        monkeypatch.delitem(sys.modules, name)
    info = virtual.attach("Speck2eDevKit")
    virtual.register()
    yield virtual.stand_in()
    virtual.detach(info)
    for name in [name for name in sys.modules if name.split(".")[0] in ("samna", "samnagui")]:
        monkeypatch.delitem(sys.modules, name)


def load_with(folder, exported, program, settings=None):
    """Run the script of an export, and return the configuration of the device that it opened."""
    (folder / "c.json").write_bytes(exported.content)
    script = export_script(program, exported, "c.json", settings)
    (folder / "load.py").write_bytes(script.content)
    opened, counts = runpy.run_path(str(folder / "load.py"))["main"](0.01)
    return opened, counts


@pytest.mark.parametrize("layout", ["speckflex", "samna"])
def test_the_script_gives_a_chip_every_number_of_the_program(tmp_path, program, as_samna, layout):
    samna = None if layout == "speckflex" else as_samna
    exported = export_configuration(program, samna=samna)
    assert exported.layout == layout
    opened, counts = load_with(tmp_path, exported, program)
    applied = opened.get_model().get_configuration()
    assert not counts
    for core in program.cores:
        layer = applied.cnn_layers[core.chip_core]
        # samna's axes are (out, in, x, y) and (feature, x, y)
        assert np.array_equal(np.transpose(layer.weights, (0, 1, 3, 2)), core.weights)
        states = np.transpose(layer.neurons_initial_value, (0, 2, 1))
        assert np.array_equal(states, core.initial_state)
        assert (layer.threshold_high, layer.threshold_low) == (
            core.threshold_high,
            core.threshold_low,
        )
        assert layer.return_to_zero is core.return_to_zero
        sent = [(place.layer, place.pooling) for place in layer.destinations if place.enable]
        wanted = [(program.cores[t.core].chip_core, t.pooling) for t in core.destinations]
        assert sent == wanted
    assert [layer.monitor_enable for layer in applied.cnn_layers[:3]] == [False, False, True]
    assert applied.dvs_layer.pass_sensor_events is False
    as_samna.device.close_device(opened)


def test_the_script_refuses_a_configuration_that_was_altered(tmp_path, program, as_samna):
    exported = export_configuration(program)
    altered = replace(exported, content=exported.content + b" ")
    (tmp_path / "c.json").write_bytes(altered.content)
    script = export_script(program, exported, "c.json")
    (tmp_path / "load.py").write_bytes(script.content)
    with pytest.raises(SystemExit, match="not the file that this script was made for"):
        runpy.run_path(str(tmp_path / "load.py"))["main"](0)


def test_the_sensor_is_let_in_where_it_is_asked_for(program, as_samna):
    text = export_configuration(program, ExportSettings(sensor=True), samna=as_samna).content
    assert json.loads(text)["dvs_layer"]["pass_sensor_events"] is True
    own = json.loads(export_configuration(program, ExportSettings(sensor=True)).content)
    dvs = own["configuration"]["dvs_layer"]
    assert dvs["pass_sensor_events"] is True
    # the monitors switch the sensor on, so that its own switch is set behind them
    assert list(dvs)[-1] == "pass_sensor_events"


def test_the_factory_settings_and_unused_cores_stay_samnas(program):
    own = json.loads(export_configuration(program).content)["configuration"]
    assert set(own) == {"cnn_layers", "dvs_layer"}
    assert set(own["cnn_layers"]) == {"0", "1", "2"}


def test_a_filter_stands_in_the_file_with_its_clock(program):
    stage = replace(program.input, event_filter=EventFilter("noise", (1, 1), 3))
    filtered = Program(program.cores, stage, "speck2e")
    settings = ExportSettings(chip=ChipSettings(slow_clock=10))
    own = json.loads(export_configuration(filtered, settings).content)["configuration"]
    assert own["dvs_filter"]["threshold"] == 3
    script = export_script(filtered, export_configuration(filtered, settings), "c.json", settings)
    assert b"SLOW_CLOCK = 10 " in script.content


def test_a_flash_image_needs_the_vendors_samna(program):
    plain = replace(program, cores=tuple(replace(c, initial_state=None) for c in program.cores))
    with pytest.raises(BoardError, match="no document says what stands where in a flash image"):
        export_flash(plain)


def test_a_flash_image_is_what_samna_makes(program, as_samna, monkeypatch):
    plain = replace(program, cores=tuple(replace(c, initial_state=None) for c in program.cores))
    sizes = iter((FLASH_BYTES, 10))
    monkeypatch.setattr(
        as_samna.speck2e, "configuration_to_flash_binary", lambda _made: [7] * next(sizes)
    )
    assert export_flash(plain, samna=as_samna).content == b"\x07" * FLASH_BYTES
    with pytest.raises(BoardError, match="image of 10 bytes"):
        export_flash(plain, samna=as_samna)


def test_a_flash_image_refuses_states_that_it_can_not_hold(program):
    with pytest.raises(BoardError, match="layer core 0: its neurons start at values of their own"):
        export_flash(program)


def test_a_program_for_no_chip_is_refused(rng):
    with pytest.raises(BoardError, match="without a chip's limits"):
        export_configuration(replace(square_chain(rng, 1), chip="unbounded"))


def test_the_command_writes_both_files_and_their_hashes(tmp_path, program):
    program.save(tmp_path / "m.speck")
    out, script = tmp_path / 'a "quoted" name.json', tmp_path / "load.py"
    arguments = ["export", str(tmp_path / "m.speck"), "-o", str(out), "--script", str(script)]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    files = json.loads(result.stdout)["files"]
    for row, path in zip(files, (out, script), strict=True):
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["program_sha256"] == program.sha256
    assert runpy_constants(script)["FILE"] == out.name


def runpy_constants(script):
    """Return the constants of a script without running its imports of samna."""
    lines = [line for line in script.read_text().splitlines() if line.startswith("FILE = ")]
    scope = {}
    exec(lines[0], scope)  # noqa: S102 - a line of our own
    return scope


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("-o", "c.bin"), 1, "holds one value for all neurons"),
        (("-o", "c.html"), 2, "has the suffix of a page"),
        (("-o", "c.json", "--monitor", "7"), 2, "not in the program of 3 layers"),
        (("-o", "c.bin", "--script", "load.py"), 2, "goes with a .json file"),
        (("-o", "c.json", "--script", "c.json"), 2, "name the same file"),
        (("-o", "c.json", "--readout-layer"), 1, "readout_layer needs the slow clock"),
    ],
)
def test_the_command_says_what_it_can_not_do(tmp_path, monkeypatch, program, more, code, message):
    monkeypatch.chdir(tmp_path)
    program.save("m.speck")
    result = CliRunner().invoke(main, ["export", "m.speck", *more])
    assert (result.exit_code, message in result.output) == (code, True), result.output
