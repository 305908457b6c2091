"""The network diagram: every layer, core, share and arrow of a program in a standalone SVG."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner
from networks_of_tests import small_network
from programs import random_graph

from speckflex.chips.chip import kernel_words, neuron_words
from speckflex.chips.speck import SPECK2E
from speckflex.cli import main
from speckflex.errors import FileFormatError
from speckflex.fitting.placement import place_layers
from speckflex.networks.files import save_network
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.report.charts.network_diagram import draw_network, write_network_diagram

SVG = "{http://www.w3.org/2000/svg}"


def core(name, n_in, n_out, size, *targets, pooling=1):
    return Core(
        name=name,
        weights=np.ones((n_out, n_in, 3, 3), np.int8),
        threshold_high=9,
        threshold_low=-9,
        input_shape=(n_in, size, size),
        padding=(1, 1),
        destinations=tuple(Destination(target, pooling) for target in targets),
    )


@pytest.fixture
def skipping():
    """A program whose first layer feeds the second and, past it, the third."""
    layers = (core("stem", 2, 4, 8, 1, 2), core("branch", 4, 4, 8, 2), core("join <&>", 4, 3, 8))
    return place_layers(Program(layers, InputStage((2, 8, 8))))


def parsed(drawn):
    return ET.fromstring(drawn)  # noqa: S314  written by this project itself


def texts(picture):
    return ["".join(element.itertext()) for element in picture.iter(f"{SVG}text")]


def test_a_diagram_names_every_layer_and_its_core(skipping):
    picture = parsed(draw_network(skipping))
    for index, layer in enumerate(skipping.cores):
        assert f"{index}: {layer.name}" in texts(picture)
        assert f"core {layer.chip_core}" in texts(picture)


def test_a_diagram_names_the_event_filter(skipping):
    stage = replace(skipping.input, event_filter=EventFilter("low pass"))
    shown = texts(parsed(draw_network(replace(skipping, input=stage))))
    assert "after the DVS layer 2 x 8 x 8, event filter: low pass" in shown
    assert not any("filter" in text for text in texts(parsed(draw_network(skipping))))


def test_bars_are_as_long_as_the_share_of_the_memory(skipping):
    picture = parsed(draw_network(skipping))
    rooms = [float(r.get("width")) for r in picture.iter(f"{SVG}rect") if r.get("class") == "room"]
    bars = [float(r.get("width")) for r in picture.iter(f"{SVG}rect") if r.get("class") == "bar"]
    shares = []
    for layer in skipping.cores:
        out, n_in, ky, kx = layer.weights.shape
        limits = SPECK2E.cores[layer.chip_core]
        shares.append(kernel_words(n_in, out, ky, kx) / limits.kernel_words)
        shares.append(neuron_words(*layer.output_shape) / limits.neuron_words)
    assert len(bars) == len(shares)
    for bar, room, share in zip(bars, rooms, shares, strict=True):
        assert bar / room == pytest.approx(share, abs=0.001)


def test_there_is_an_arrow_for_every_destination(skipping):
    picture = parsed(draw_network(skipping))
    arrows = [path for path in picture.iter(f"{SVG}path") if path.get("class") == "arrow"]
    assert len(arrows) == 1 + 2 + 1


def test_an_arrow_past_a_layer_stays_in_the_picture(skipping):
    picture = parsed(draw_network(skipping))
    width = float(picture.get("width"))
    lanes = [
        float(word[1:])
        for path in picture.iter(f"{SVG}path")
        for word in path.get("d").split()
        if word.startswith("H")
    ]
    assert lanes
    assert max(lanes) < width


def test_pooling_is_written_on_its_arrow():
    layers = (core("a", 2, 4, 8, 1, pooling=2), core("b", 4, 3, 4))
    picture = parsed(draw_network(Program(layers, InputStage((2, 8, 8)))))
    assert texts(picture).count("pooled 2 x 2") == 1


def test_an_unplaced_layer_shows_its_words(skipping):
    layers = tuple(core(name, 2, 2, 8) for name in ("only",))
    picture = parsed(draw_network(Program(layers, InputStage((2, 8, 8)))))
    assert "no core" in texts(picture)
    assert f"{kernel_words(2, 2, 3, 3)} words" in texts(picture)


def test_title_and_description_say_the_same_in_words(skipping):
    picture = parsed(draw_network(skipping))
    assert picture.get("role") == "img"
    named = {element.get("id") for element in picture if element.get("id")}
    assert set(picture.get("aria-labelledby").split()) <= named
    description = picture.find(f"{SVG}desc").text
    for layer in skipping.cores:
        assert f"Layer {layer.name} on core {layer.chip_core}" in description
    assert "branch and join <&>" in description


def test_a_diagram_loads_nothing_and_knows_dark_colours(skipping):
    drawn = draw_network(skipping)
    assert "prefers-color-scheme: dark" in drawn
    assert "http" not in drawn.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "<script" not in drawn


@pytest.mark.parametrize("seed", range(10))
def test_any_program_gives_well_formed_svg_of_its_arrows(seed):
    program = random_graph(np.random.default_rng(seed), 4)
    picture = parsed(draw_network(program))
    arrows = [path for path in picture.iter(f"{SVG}path") if path.get("class") == "arrow"]
    senders = (program.input, *program.cores)
    assert len(arrows) == sum(len(sender.destinations) for sender in senders)


def test_a_diagram_that_can_not_be_written_says_so(skipping, tmp_path):
    with pytest.raises(FileFormatError, match="can't be written"):
        write_network_diagram(skipping, tmp_path / "missing" / "out.svg")


def test_check_writes_the_diagram_of_a_model_file(tmp_path):
    save_network(small_network(), tmp_path / "net.pt")
    target = tmp_path / "out.svg"
    arguments = ["check", str(tmp_path / "net.pt"), "--input-shape", "2,34,34"]
    result = CliRunner().invoke(main, [*arguments, "--diagram", str(target)])
    assert result.exit_code == 0, result.output
    assert "input events" in texts(parsed(target.read_text()))
