"""NIR files that other tools wrote: each loads with the tool's own spikes, or is refused."""

import gzip
import importlib.util
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from nir_reference import play_small_network

from speckflex.conversion.convert import convert
from speckflex.errors import NetworkError
from speckflex.networks.files import load_network
from speckflex.networks.nir._network import nir_input_shape
from speckflex.networks.nir.options import NirOptions

FILES = Path(__file__).resolve().parents[1] / "files" / "nir"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "formats.md"

spec = importlib.util.spec_from_file_location("small_network", FILES / "small_network.py")
assert spec is not None
assert spec.loader is not None
small_network = importlib.util.module_from_spec(spec)
spec.loader.exec_module(small_network)


class Written(NamedTuple):
    """A file, who wrote it, how it is loaded, and what becomes of it.

    The lower bound of the potential is not in a NIR file: sinabs has one, the other tools have
    none.
    """

    name: str
    writer: str
    verdict: str
    to_zero: bool = True
    options: NirOptions = NirOptions(lower_bound=-math.inf)
    played: str = ""


SAME_SPIKES = "loads, the spikes of the tool itself"
SAME_EQUATIONS = "loads, the spikes of NIR's equations"
WRITTEN = (
    Written("nir-1.0.4", "nir 1.0.4", f"{SAME_EQUATIONS}; a spike subtracts", to_zero=False),
    Written("nir-1.0.5", "nir 1.0.5", f"{SAME_EQUATIONS}; a spike subtracts", to_zero=False),
    Written("nir-1.0.6", "nir 1.0.6", f"{SAME_EQUATIONS}; returns to zero"),
    Written("nir-1.0.7", "nir 1.0.7", f"{SAME_EQUATIONS}; returns to zero"),
    Written("nir-1.0.8", "nir 1.0.8", f"{SAME_EQUATIONS}; returns to zero"),
    Written(
        "sinabs",
        "sinabs 3.1.3 (nir 1.0.4)",
        f"{SAME_SPIKES}; a spike subtracts",
        to_zero=False,
        options=NirOptions(),
        played="sinabs",
    ),
    Written(
        "spikingjelly",
        "SpikingJelly 2.0.0 (nir 1.0.8)",
        f"{SAME_SPIKES} with `--dt 0.0001`; returns to zero",
        options=NirOptions(dt=1e-4, lower_bound=-math.inf),
        played="spikingjelly",
    ),
    Written(
        "spikingjelly-dt1",
        "SpikingJelly 2.0.0 (nir 1.0.8), dt=1",
        f"{SAME_SPIKES}; returns to zero",
        played="spikingjelly",
    ),
    Written(
        "snntorch",
        "snnTorch 1.0.0 (nir 1.0.8), beta=1",
        f"{SAME_SPIKES}; returns to zero",
        played="snntorch",
    ),
    Written("snntorch-leaky", "snnTorch 1.0.0 (nir 1.0.8), beta=0.9", "refused: its neurons leak"),
    Written(
        "norse",
        "norse 1.1.0 (nir 1.0.8)",
        f"{SAME_SPIKES}; returns to zero",
        played="norse",
    ),
)
LOADS = [file for file in WRITTEN if file.verdict.startswith("loads")]


def unpack(name: str, folder: Path) -> Path:
    """Return the path of a file, unpacked."""
    path = folder / f"{name}.nir"
    path.write_bytes(gzip.decompress((FILES / f"{name}.nir.gz").read_bytes()))
    return path


def _expected(file: Written) -> np.ndarray:
    if file.played:
        with np.load(FILES / f"{file.played}.npz") as played:
            return played["spikes"]
    return play_small_network(
        small_network.frames(),
        small_network.weights(),
        small_network.THRESHOLD,
        to_zero=file.to_zero,
    )


@pytest.mark.parametrize("file", LOADS, ids=lambda file: file.name)
def test_a_file_gives_the_spikes_of_the_tool_that_wrote_it(file, tmp_path):
    network = load_network(unpack(file.name, tmp_path), nir=file.options)
    with torch.no_grad():
        spikes = network(torch.from_numpy(small_network.frames())).numpy()
    expected = _expected(file)
    assert expected.sum() > 100
    np.testing.assert_array_equal(spikes, expected)


@pytest.mark.parametrize("file", LOADS, ids=lambda file: file.name)
def test_a_file_converts_at_the_shape_that_it_states_with_its_reset(file, tmp_path):
    path = unpack(file.name, tmp_path)
    shape = nir_input_shape(path)
    assert shape == small_network.INPUT_SHAPE
    program = convert(load_network(path, nir=NirOptions(dt=file.options.dt)), shape)
    assert [core.return_to_zero for core in program.cores] == [file.to_zero] * 3


def test_a_graph_of_leaking_neurons_is_refused_with_the_version_that_wrote_it(tmp_path):
    path = unpack("snntorch-leaky", tmp_path)
    with pytest.raises(NetworkError) as caught:
        load_network(path)
    assert f"{path} (NIR 1.0.8): node 1 (LIF) leaks" in str(caught.value)


def test_a_graph_for_a_time_step_is_refused_with_the_option_that_loads_it(tmp_path):
    path = unpack("spikingjelly", tmp_path)
    with pytest.raises(NetworkError) as caught:
        load_network(path)
    message = str(caught.value)
    assert "node _1 (IF) has r = 10000" in message
    assert "--dt 0.0001" in message
    assert "multiply" not in message


def test_the_documents_say_of_every_file_what_the_tests_say():
    assert {file.name for file in WRITTEN} == {
        path.name.removesuffix(".nir.gz") for path in FILES.glob("*.nir.gz")
    } - {"quantised", "spikes"}  # which speckflex wrote
    table = DOCS.read_text()
    for file in WRITTEN:
        assert f"| `{file.name}` | {file.writer} | {file.verdict} |" in table
