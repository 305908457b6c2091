"""Chips by name: this package's, and one that another package adds."""

import json
from collections import OrderedDict
from xml.etree import ElementTree as ET

import pytest
import sinabs.layers as sl
from click.testing import CliRunner
from networks_of_tests import neuron, small_network
from plugins import forget_packages, install_package
from torch import nn

import speckflex as sf
from speckflex.chips import chip_names, find_chip
from speckflex.chips.speck import SPECK2F
from speckflex.cli import main
from speckflex.errors import BoardError, ConversionError, PlacementError
from speckflex.networks.files import save_network

SHAPE = (2, 34, 34)
KI = 1024
# A chip of four cores with 8 Ki words of each memory; its limits are a Speck's but for the kernel.
TINY_CHIP = """
from dataclasses import replace
from speckflex.chips.chip import Chip, CoreLimits
from speckflex.chips.speck import SPECK2E

TINY = Chip(
    name="tiny",
    label="Tiny",
    cores=tuple(CoreLimits(index, 8 * 1024, 8 * 1024, 256) for index in range(4)),
    limits=replace(SPECK2E.limits, max_kernel=6),
    event_filter=SPECK2E.event_filter,
    dvs=SPECK2E.dvs,
    readout=SPECK2E.readout,
    synops_per_second=1_000_000,
)
MISNAMED = TINY
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The record of a chip that another package adds."""
    entries = {
        "tiny": "tiny_chip:TINY",
        "misnamed": "tiny_chip:MISNAMED",
        "broken": "tiny_chip:NOTHING",
    }
    install_package(tmp_path / "site", "tiny_chip", TINY_CHIP, {"speckflex.chips": entries})
    monkeypatch.syspath_prepend(tmp_path / "site")
    forget_packages()
    yield find_chip("tiny")
    forget_packages()


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.pt"
    save_network(small_network(), path)
    return path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def network(*layers):
    """Return a chain of weight layers with neurons behind each, and a linear layer at the end."""
    steps = OrderedDict()
    for index, layer in enumerate(layers):
        steps[f"layer{index}"], steps[f"spike{index}"] = layer, neuron()
    return nn.Sequential(steps).eval()


def test_a_chip_is_found_by_its_name():
    assert find_chip("speck2f") is SPECK2F
    assert chip_names()[:3] == ("speck2e", "speck2f", "unbounded")


def test_an_unknown_chip_is_refused_with_the_known_ones():
    with pytest.raises(ConversionError, match="'loihi' is not known: choose one of speck2e, "):
        find_chip("loihi")


def test_an_unknown_chip_is_misuse_of_the_command(model_file):
    result = run("check", model_file, "--input-shape", "2,34,34", "--chip", "loihi")
    assert result.exit_code == 2
    assert "chip 'loihi' is not known: choose one of speck2e, speck2f, unbounded" in result.stderr


def test_chips_of_other_packages_are_listed(tiny):
    assert "tiny" in chip_names()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", r"can't be loaded from tiny_chip:NOTHING \(.*NOTHING.*\): repair or uninstall"),
        ("misnamed", "which is no Chip of the name 'misnamed': correct it"),
    ],
)
def test_a_package_that_names_no_chip_is_named(tiny, name, message):
    with pytest.raises(ConversionError, match=message):
        find_chip(name)


def test_a_network_is_placed_on_the_cores_of_a_made_up_chip(tiny, tmp_path):
    program = sf.convert(small_network(), SHAPE, chip="tiny")
    assert program.chip_record is tiny
    assert {core.chip_core for core in program.cores} <= {0, 1, 2, 3}
    program.save(tmp_path / "model.speck")
    assert sf.Program.load(tmp_path / "model.speck").sha256 == program.sha256


def test_a_layer_that_a_made_up_chip_does_not_hold_is_refused_with_its_figures(tiny):
    wide = network(nn.Conv2d(2, 16, 3, padding=1, bias=False), sl.SumPool2d(2))
    with pytest.raises(PlacementError) as caught:
        sf.convert(wide[:2], (2, 32, 32), chip="tiny")
    # 16 channels of 32 x 32 neurons; 8 such channels fill a core
    assert "16384 neuron words, no core holds more than 8192" in str(caught.value)
    assert "reduce it to 8 output channels" in str(caught.value)
    assert sf.convert(wide[:2], (2, 32, 32), chip="speck2e").cores[0].chip_core is not None


def test_more_layers_than_cores_are_refused(tiny):
    deep = network(*[nn.Conv2d(2, 2, 3, padding=1, bias=False) for _ in range(5)])
    with pytest.raises(PlacementError, match=r"has 5 layers, the chip 4 cores, .* 1 shorter"):
        sf.convert(deep, (2, 8, 8), chip="tiny")


def test_the_limits_are_those_of_the_chip(tiny):
    large = network(nn.Conv2d(2, 2, 7, bias=False))
    with pytest.raises(ConversionError, match="kernel size 7 x 7 exceeds the chip's limit of 6:"):
        sf.convert(large, (2, 12, 12), chip="tiny")


def test_a_core_that_the_chip_lacks_is_refused(tiny):
    with pytest.raises(sf.SpeckflexError, match=r"core 4 does not exist: choose one of 0\.\.3"):
        sf.convert(small_network(), SHAPE, chip="tiny", cores={0: 4})


def test_a_board_with_another_chip_refuses_the_program(tiny):
    program = sf.convert(small_network(), SHAPE, chip="tiny")
    with (
        sf.open_board("virtual:speck2e") as board,
        pytest.raises(
            BoardError, match=r"converted for chip 'tiny', .*: convert it for chip 'speck2e'"
        ),
    ):
        board.load(program)


def test_check_lists_the_cores_of_the_chip_and_draws_them(tiny, model_file, tmp_path):
    drawing = tmp_path / "cores.svg"
    shape = ("--input-shape", "2,34,34", "--chip", "tiny")
    result = run("check", model_file, *shape, "--json", "--diagram", drawing)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["layers"]
    assert [row["fitting_cores"] for row in rows] == [[0, 1, 2, 3]] * 2
    assert [row["holds"] for row in rows] == [[8 * KI, 8 * KI, 256]] * 2
    # 4 channels of 17 x 17 neurons take 4 * 32 * 32 words
    words = [item.text for item in ET.parse(drawing).iter() if item.text]  # noqa: S314 - our own
    assert "50.0 %" in words


def test_a_program_for_a_made_up_chip_is_deployed_to_its_twin(tiny, model_file, tmp_path):
    program = tmp_path / "model.speck"
    run("convert", model_file, "--input-shape", "2,34,34", "--chip", "tiny", "-o", program)
    data = ("--data", "synthetic-digits", "--samples", "2", "--board", "twin")
    result = run("deploy", program, *data, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["program"]["chip"] == "tiny"
    assert report["synops"]["limit_per_second"] == 1_000_000
    for layer in report["layers"]:
        assert (layer["kernel_limit"], layer["neuron_limit"]) == (8 * KI, 8 * KI)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The 4 cores of Tiny: " in page
    assert ">core 3<" in page
    assert ">core 4<" not in page
