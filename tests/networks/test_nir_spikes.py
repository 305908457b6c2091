"""Recordings as NIR's spike data: what nir itself reads from them is what was recorded."""

import gzip
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from speckflex.boards import open_board
from speckflex.errors import EventsError, FileFormatError
from speckflex.events.streams import make_events
from speckflex.networks.nir.spikes import save_nir_data
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.recordings.recording import Recording
from speckflex.twin.settings import TwinSettings

FILES = Path(__file__).resolve().parents[1] / "files" / "nir"


def small_program() -> Program:
    weights = np.arange(1, 13).reshape(3, 2, 2, 1)[:, :, :, [0, 0]] * 9
    first = Core(
        "conv",
        weights,
        120,
        -120,
        (2, 4, 3),
        neuron_name="spikes",
        destinations=(Destination(1),),
    )
    last = Core(
        "last", np.ones((2, 3, 3, 2), np.int8), 32640, -32640, first.output_shape,
        readout="potential",
    )  # fmt: skip
    return Program((first, last), InputStage((2, 4, 3)), "unbounded")


def recorded() -> Recording:
    """Return three samples, the last one without an event."""
    rng = np.random.default_rng(5)
    samples = []
    for size in (40, 25, 0):
        places = [rng.integers(0, side, size) for side in (3, 4, 2)]
        samples.append(make_events(np.sort(rng.integers(0, 90_000, size)), *places))
    # the order in which the kept file was recorded
    with open_board("twin", settings=TwinSettings(output_order="+y+x+c")) as board:
        board.load(small_program())
        return board.play(samples)


def test_nir_reads_the_spikes_of_the_recording(tmp_path):
    recording = recorded()
    save_nir_data(recording, small_program(), tmp_path / "spikes.nir")
    # nir 1.0.8 read the kept file; ours must have the same arrays.
    (tmp_path / "kept.nir").write_bytes(gzip.decompress((FILES / "spikes.nir.gz").read_bytes()))
    assert arrays(tmp_path / "spikes.nir") == arrays(tmp_path / "kept.nir")
    with np.load(FILES / "spikes.npz") as read:
        found = dict(read)
    assert found["spikes/spikes/n_neurons"] == 3 * 3 * 2
    times, neurons = found["spikes/spikes/time"], found["spikes/spikes/idx"]
    assert recording.counts(0).sum() > 20
    for sample in range(3):
        events = recording.events(0, sample)
        n_events = len(events)
        np.testing.assert_array_equal(np.rint(times[sample, :n_events] * 1e6), events["t"])
        channel, y, x = np.unravel_index(neurons[sample, :n_events], (3, 3, 2))
        np.testing.assert_array_equal(channel, events["p"])
        np.testing.assert_array_equal(y, events["y"])
        np.testing.assert_array_equal(x, events["x"])
        assert (neurons[sample, n_events:] == -1).all()
        assert np.isinf(times[sample, n_events:]).all()
    assert times[np.isfinite(times)].max() < found["spikes/spikes/t_max"]
    potentials = recording.layer(1).potentials
    assert potentials is not None
    np.testing.assert_array_equal(found["last/v/data"], potentials.reshape(3, 1, 2))


def arrays(path: Path) -> dict[str, object]:
    """Return every array and attribute of an HDF5 file, as plain values."""
    found: dict[str, object] = {}

    def keep(name: str, item: h5py.Dataset | h5py.Group) -> None:
        found.update({f"{name}@{key}": value for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tolist()

    with h5py.File(path) as file:
        found["@type"] = file.attrs["__type__"]
        file.visititems(keep)
    return found


def test_a_recording_of_counts_alone_is_refused_by_the_layer(tmp_path):
    with pytest.raises(EventsError, match=r"layer conv: .* events of 0 of 3 samples"):
        save_nir_data(recorded().without_events(), small_program(), tmp_path / "spikes.nir")


def test_a_recording_of_another_program_is_refused(tmp_path):
    other = replace(small_program(), chip="speck2e")
    with pytest.raises(EventsError, match="give the program that was played"):
        save_nir_data(recorded(), other, tmp_path / "spikes.nir")


def test_spike_data_are_not_taken_for_a_network(tmp_path):
    from speckflex.networks.files import load_network

    save_nir_data(recorded(), small_program(), tmp_path / "spikes.nir")
    with pytest.raises(FileFormatError, match="is NIR spike data and no network"):
        load_network(tmp_path / "spikes.nir")
