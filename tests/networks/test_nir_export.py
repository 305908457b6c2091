"""Programs written as NIR graphs: the same integers, and the same spikes in other simulators."""

import gzip
import importlib.util
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import sinabs.layers as sl
import sinabs.nir
import torch
from click.testing import CliRunner
from torch import nn

from speckflex.boards import open_board
from speckflex.cli import main
from speckflex.conversion.convert import convert
from speckflex.conversion.model import read_model
from speckflex.errors import ConversionError, FileFormatError
from speckflex.events.streams import make_events
from speckflex.networks.nir.export import save_nir
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage

FILES = Path(__file__).resolve().parents[1] / "files" / "nir"

spec = importlib.util.spec_from_file_location("small_network", FILES / "small_network.py")
assert spec is not None
assert spec.loader is not None
small_network = importlib.util.module_from_spec(spec)
spec.loader.exec_module(small_network)
INPUT_SHAPE = small_network.INPUT_SHAPE
FIELDS = (
    *("name", "neuron_name", "threshold_high", "threshold_low", "input_shape", "stride"),
    *("padding", "return_to_zero", "destinations", "readout", "scale"),
)


def one_spike_a_step(*, to_zero: bool) -> Program:
    """Return a program in which an input event makes each layer but the last fire once at most.

    So the spikes of one time step never arrive together, and a simulator with time steps must
    give what the twin gives event by event.
    """
    rng = np.random.default_rng(2)

    def core(name: str, weights: np.ndarray, threshold: int, **settings) -> Core:
        return Core(
            name=name,
            neuron_name=f"{name}_neurons",
            weights=weights,
            threshold_high=threshold,
            threshold_low=-threshold,
            return_to_zero=to_zero,
            **settings,
        )

    last = rng.integers(-20, 127, (5, 1, 4, 4))
    last[0, 0, 0, 0] = 127
    return Program(
        (
            core(
                "first",
                np.array([127, 90]).reshape(1, 2, 1, 1),
                150,
                input_shape=INPUT_SHAPE,
                destinations=(Destination(1),),
            ),
            core(
                "second",
                np.array([[127, 80], [60, 100]]).reshape(1, 1, 2, 2),
                140,
                input_shape=(1, 8, 8),
                stride=(2, 2),
                destinations=(Destination(2),),
            ),
            core("third", last, 130, input_shape=(1, 4, 4)),
        ),
        InputStage(INPUT_SHAPE),
        "unbounded",
    )


def input_events() -> np.ndarray:
    """Return the events of the frames that every tool plays, one a µs."""
    times, channels, y, x = np.nonzero(small_network.frames())
    return make_events(times, x, y, channels)


def spikes_of_the_twin(program: Program, events: np.ndarray) -> np.ndarray:
    """Return (step, neuron) spikes of the last layer; the spikes carry the time of their event."""
    with open_board("twin") as board:
        board.load(program)
        spikes = board.play(events).events(-1)
    steps = np.zeros((len(events), *program.cores[-1].output_shape), np.uint8)
    np.add.at(steps, (spikes["t"], spikes["p"], spikes["y"], spikes["x"]), 1)
    return steps.reshape(len(events), -1)


def written(program: Program, path: Path) -> Path:
    save_nir(program, path)
    return path


@pytest.mark.parametrize("to_zero", [False, True])
def test_a_graph_loads_as_the_program_that_it_was_written_from(to_zero, tmp_path):
    program = one_spike_a_step(to_zero=to_zero)
    model = read_model(written(program, tmp_path / "out.nir"), chip="unbounded")
    assert model.program.input == program.input
    for found, core in zip(model.program.cores, program.cores, strict=True):
        np.testing.assert_array_equal(found.weights, core.weights)
        assert {key: getattr(found, key) for key in FIELDS} == {
            key: getattr(core, key) for key in FIELDS
        }


def test_a_converted_network_with_pooling_and_potentials_comes_back_the_same(tmp_path):
    torch.manual_seed(0)
    neurons = sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)
    network = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1, bias=False), neurons, sl.SumPool2d(2)),
        *(nn.Flatten(), nn.Linear(64, 5, bias=False)),
    )
    program = convert(network, INPUT_SHAPE)
    found = read_model(written(program, tmp_path / "out.nir")).program
    assert [core.readout for core in found.cores] == ["spikes", "potential"]
    assert [core.destinations for core in found.cores] == [(Destination(1, pooling=2),), ()]
    for one, other in zip(found.cores, program.cores, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
        thresholds = [(core.threshold_high, core.threshold_low) for core in (one, other)]
        assert thresholds[0] == thresholds[1]


def test_sinabs_gives_the_spikes_of_the_twin_where_a_spike_subtracts(tmp_path):
    program = one_spike_a_step(to_zero=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = nir.read(written(program, tmp_path / "out.nir"))
        network = sinabs.nir.from_nir(graph, batch_size=1)
    with torch.no_grad():
        spikes = network(torch.from_numpy(small_network.frames()))[0].numpy().reshape(-1, 5)
    assert spikes.sum() > 20
    np.testing.assert_array_equal(spikes_of_the_twin(program, input_events()), spikes)


def test_spikingjelly_gives_the_spikes_of_the_twin_where_a_spike_returns_to_zero(tmp_path):
    program = one_spike_a_step(to_zero=True)
    # SpikingJelly played the kept file.
    kept = gzip.decompress((FILES / "quantised.nir.gz").read_bytes())
    (tmp_path / "kept.nir").write_bytes(kept)
    found = contents(written(program, tmp_path / "out.nir"))
    expected = contents(tmp_path / "kept.nir")
    assert found.keys() == expected.keys()
    for name in found.keys() - {"node/metadata/speckflex", "node/metadata/program_sha256"}:
        np.testing.assert_array_equal(found[name], expected[name])
    with np.load(FILES / "quantised.npz") as played:
        spikes = played["spikes"].reshape(-1, 5)
    assert spikes.sum() > 20
    np.testing.assert_array_equal(spikes_of_the_twin(program, input_events()), spikes)


def contents(path: Path) -> dict[str, np.ndarray]:
    """Return every array and text of an HDF5 file by name."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


@pytest.mark.parametrize(("to_zero", "version"), [(False, "1.0.5"), (True, "1.0.8")])
def test_the_file_states_the_version_that_defines_its_neurons(to_zero, version, tmp_path):
    found = contents(written(one_spike_a_step(to_zero=to_zero), tmp_path / "out.nir"))
    assert found["version"].decode() == version
    assert ("node/nodes/first_neurons/v_reset" in found) == to_zero
    assert found["node/nodes/first_neurons/metadata/lower_bound"] == -150


def changed(program: Program, **settings) -> Program:
    """Return the program with other settings of its last core."""
    return replace(program, cores=(*program.cores[:-1], replace(program.cores[-1], **settings)))


BASE = one_spike_a_step(to_zero=False)
UNSAYABLE = {
    "layer third has a bias at each tick": changed(BASE, bias=np.ones(5)),
    "layer third has an initial potential": changed(BASE, initial_state=np.ones((5, 1, 1))),
    "layer third has a decimator": changed(BASE, decimator_interval=1),
    "the input stage filters events": replace(
        BASE, input=replace(BASE.input, event_filter=EventFilter())
    ),
    "the input stage mirrors": replace(BASE, input=replace(BASE.input, mirror_x=True)),
}


@pytest.mark.parametrize("reason", UNSAYABLE)
def test_what_nir_has_no_node_for_is_refused_by_name(reason, tmp_path):
    with pytest.raises(ConversionError, match=reason):
        save_nir(UNSAYABLE[reason], tmp_path / "out.nir")
    assert not list(tmp_path.iterdir())


def test_a_name_with_the_suffix_of_another_format_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"end its name in \.nir"):
        save_nir(BASE, tmp_path / "out.h5")


def test_layer_names_that_hdf5_would_split_are_kept_apart(tmp_path):
    cores = (replace(BASE.cores[0], name="a/b"), replace(BASE.cores[1], name="a_b"))
    program = replace(BASE, cores=(*cores, BASE.cores[2]))
    found = read_model(written(program, tmp_path / "out.nir"), chip="unbounded").program
    assert [core.name for core in found.cores] == ["a_b", "a_b_2", "third"]


def test_convert_writes_a_graph_from_a_network_and_from_a_program(tmp_path):
    BASE.save(tmp_path / "net.speck")
    graph = tmp_path / "net.nir"
    done = CliRunner().invoke(main, ["convert", str(tmp_path / "net.speck"), "-o", str(graph)])
    assert done.exit_code == 0, done.output
    again = tmp_path / "again.nir"
    command = ["convert", str(graph), "--chip", "unbounded", "-o", str(again)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    for name, value in contents(graph).items():
        if "metadata/program" not in name:
            np.testing.assert_array_equal(contents(again)[name], value)
