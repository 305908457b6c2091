"""sinabs' own backend on a virtual devkit, and a script that does not use speckflex."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import ReferenceTwin
from torch import nn

from speckflex import virtual
from speckflex.events.streams import make_events
from speckflex.twin.settings import TwinSettings

virtual.install()

from sinabs.backend.dynapcnn import DynapcnnNetwork  # noqa: E402 - needs samna's name
from sinabs.backend.dynapcnn.chip_factory import ChipFactory  # noqa: E402
from sinabs.layers import IAFSqueeze  # noqa: E402

from speckflex.virtual._decode import decode_configuration  # noqa: E402

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "sinabs_script.py"
SHAPE = (2, 12, 12)


@pytest.fixture
def network():
    """A network of two layers with seeded weights, as sinabs' backend takes it."""
    generator = torch.Generator().manual_seed(7)
    layers = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False),
        IAFSqueeze(batch_size=1, min_v_mem=-1.0),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5, bias=False),
        IAFSqueeze(batch_size=1, min_v_mem=-1.0),
    )
    for layer in layers:
        if hasattr(layer, "weight"):
            layer.weight.data = torch.rand(layer.weight.shape, generator=generator) - 0.3
    return DynapcnnNetwork(layers, input_shape=SHAPE, dvs_input=False)


@pytest.mark.filterwarnings("ignore:Layer 0 has pooling")
@pytest.mark.parametrize(
    ("device", "board"),
    [("speck2edevkit:0", "Speck2eDevKit"), ("speck2fmodule", "Speck2fModuleDevKit")],
)
def test_a_network_deployed_by_sinabs_spikes_like_the_slow_reference(network, device, board):
    virtual.install([board])
    rng = np.random.default_rng(3)
    n = 400
    events = make_events(
        np.arange(n) * 100, rng.integers(0, 12, n), rng.integers(0, 12, n), rng.integers(0, 2, n)
    )
    network.to(device, monitor_layers="all")
    core = network.layer2core_map[0]
    output = network(ChipFactory(device).xytp_to_events(events, core, reset_timestamps=False))
    order = list(network.layer2core_map.values())
    program = decode_configuration(network.samna_config, "speck2e", entry=core)
    reference = ReferenceTwin(program, TwinSettings())
    reference.play(events)
    assert all(reference.spikes)
    for position, chip_core in enumerate(order):
        seen = [(e.x, e.y, e.feature) for e in output if e.layer == chip_core]
        assert seen == [tuple(map(int, row[1:])) for row in reference.spikes[position]]
    virtual.install()


def test_an_unmodified_script_runs_on_a_virtual_devkit():
    assert "speckflex" not in SCRIPT.read_text().split('"""')[2]
    done = subprocess.run(  # noqa: S603 - our own Python and our own example
        [sys.executable, "-W", "ignore", "-m", "speckflex.virtual", str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in lines[-2:]] == ["left", "right"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["missing.py"], "no script at"), (["--device", "Speck9", str(SCRIPT)], "'Speck9' is not")],
)
def test_misuse_of_the_runner_exits_with_two(arguments, message):
    done = subprocess.run(  # noqa: S603 - our own Python
        [sys.executable, "-m", "speckflex.virtual", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
