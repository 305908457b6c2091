"""A recording, its file, and what a damaged file says."""

import contextlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speckflex import Recording
from speckflex.errors import BoardError, FileFormatError
from speckflex.events.streams import make_events
from speckflex.program.records import Shape
from speckflex.recordings import _hdf5
from speckflex.recordings.recording import (
    LayerRecord,
    Provenance,
    SampleLog,
    concatenate_recordings,
)

SHAPE = (2, 3, 4)
NAMES = st.text(max_size=8)
# a name with control characters comes back with them escaped
REASONS = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=8)


def random_events(rng: np.random.Generator, n: int, shape: Shape = SHAPE):
    channels, height, width = shape
    return make_events(
        np.sort(rng.integers(0, 2**40, n)),
        rng.integers(0, width, n),
        rng.integers(0, height, n),
        rng.integers(0, channels, n),
    )


def counts_of(events: Sequence[np.ndarray], shape: Shape = SHAPE):
    counts = np.zeros((len(events), *shape), np.int64)
    for sample, stream in enumerate(events):
        np.add.at(counts[sample], (stream["p"], stream["y"], stream["x"]), 1)
    return counts


def small_recording(rng: np.random.Generator, n_samples: int = 3, **changes: Any):
    events = tuple(random_events(rng, int(rng.integers(0, 20))) for _ in range(n_samples))
    recording = Recording(
        layers=(LayerRecord(1, "conv", counts_of(events), events),),
        n_layers=2,
        samples=tuple(SampleLog(10, 9, len(stream), lost=1) for stream in events),
        provenance=Provenance("ab" * 32, "twin", "twin", seed=3, versions={"numpy": "2"}),
        labels=np.arange(n_samples),
    )
    return replace(recording, **changes)


def assert_same_recording(left: Any, right: Any):
    assert left.n_layers == right.n_layers
    assert left.samples == right.samples
    assert left.provenance == right.provenance
    assert_same_array(left.labels, right.labels)
    assert len(left.layers) == len(right.layers)
    for one, other in zip(left.layers, right.layers, strict=True):
        assert (one.index, one.name) == (other.index, other.name)
        assert_same_array(one.counts, other.counts)
        assert_same_array(one.potentials, other.potentials)
        assert (one.events is None) == (other.events is None)
        for stream, expected in zip(one.events or (), other.events or (), strict=True):
            assert_same_array(stream, expected)


def assert_same_array(left: Any, right: Any):
    assert (left is None) == (right is None)
    if left is not None:
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@st.composite
def recordings(draw: st.DrawFn):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_samples = draw(st.integers(0, 4))
    layers = []
    for index in range(draw(st.integers(0, 3))):
        shape = draw(st.tuples(*[st.integers(1, 4)] * 3))
        events = tuple(random_events(rng, int(rng.integers(0, 9)), shape) for _ in range(n_samples))
        magnitude = draw(st.sampled_from([1, 100, 10**5, 10**12]))
        potentials = rng.integers(-magnitude, magnitude, (n_samples, *shape))
        layers.append(
            LayerRecord(
                index,
                draw(NAMES),
                counts_of(events, shape),
                events=draw(st.sampled_from([events, events[:1], None])),
                potentials=draw(st.sampled_from([potentials, None])),
            )
        )
    provenance = Provenance(
        draw(NAMES),
        draw(NAMES),
        draw(st.sampled_from(["torch", "twin", "chip", "virtual", "replay"])),
        serial=draw(NAMES),
        started=draw(NAMES),
        seed=draw(st.none() | st.integers(0, 2**63)),
        versions=draw(st.dictionaries(NAMES, NAMES, max_size=2)),
        settings=draw(st.dictionaries(NAMES, NAMES, max_size=2)),
    )
    logs = st.builds(SampleLog, *[st.integers(0, 2**40)] * 4, stopped=REASONS, input_sha256=NAMES)
    samples = tuple(draw(logs) for _ in range(n_samples))
    labels = rng.integers(0, 10, n_samples) if draw(st.booleans()) else None
    return Recording(tuple(layers), len(layers) + 1, samples, provenance, labels)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(recording=recordings())
def test_a_saved_recording_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, recording: Recording
):
    path = tmp_path_factory.mktemp("recording") / "run.h5"
    recording.save(path)
    assert_same_recording(Recording.load(path), recording)


def test_ten_thousand_samples_of_counts_take_a_small_file(tmp_path: Path, rng: np.random.Generator):
    counts = rng.integers(0, 4, (10_000, 8, 5, 5))
    log = SampleLog(1, 1, 1)
    layer = LayerRecord(0, "conv", counts)
    recording = Recording((layer,), 1, (log,) * 10_000, Provenance("", "twin", "twin"))
    recording.save(tmp_path / "run.h5")
    assert (tmp_path / "run.h5").stat().st_size < counts.size
    assert_same_array(Recording.load(tmp_path / "run.h5").counts(0), counts)


def test_saving_leaves_no_other_file_behind(tmp_path: Path, rng: np.random.Generator):
    small_recording(rng).save(tmp_path / "run.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["run.h5"]


def test_a_failed_save_keeps_the_file_that_was_there(tmp_path: Path, rng: np.random.Generator):
    path = tmp_path / "run.h5"
    good = small_recording(rng)
    good.save(path)
    bad = replace(good, layers=(replace(good.layers[0], potentials=np.full((3, *SHAPE), 0.5)),))
    with pytest.raises(FileFormatError, match="potentials: values of dtype float64"):
        bad.save(path)
    assert_same_recording(Recording.load(path), good)
    assert [item.name for item in tmp_path.iterdir()] == ["run.h5"]


def test_threads_save_recordings_at_the_same_time(tmp_path: Path, rng: np.random.Generator):
    recordings = [small_recording(rng, n_samples) for n_samples in (1, 2, 3, 4)]

    def saved(index: int) -> Recording:
        path = tmp_path / f"{index}.h5"
        for _ in range(10):
            recordings[index].save(path)
        return Recording.load(path)

    with ThreadPoolExecutor() as pool:
        for recording, again in zip(recordings, pool.map(saved, range(4)), strict=True):
            assert_same_recording(again, recording)


@pytest.mark.parametrize("folder", ["absent", "file"])
def test_saving_where_no_folder_is_is_one_line(
    tmp_path: Path, rng: np.random.Generator, folder: str
):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileFormatError, match=r"can't be written .*: choose another folder"):
        small_recording(rng).save(tmp_path / folder / "run.h5")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileFormatError, match=r"absent\.h5: no such file"):
        Recording.load(tmp_path / "absent.h5")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not hdf5", b"\x89HDF\r\n\x1a\n"])
def test_a_foreign_file_is_refused_in_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "run.h5"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"run\.h5: not a recording, or cut short") as caught:
        Recording.load(path)
    assert "\n" not in str(caught.value)


def test_another_program_s_hdf5_file_is_refused(tmp_path: Path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["data"] = [1, 2, 3]
    with pytest.raises(FileFormatError, match="no recording of speckflex"):
        Recording.load(path)


def test_a_newer_format_asks_for_an_update(tmp_path: Path, rng: np.random.Generator):
    path = tmp_path / "run.h5"
    small_recording(rng).save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = 99
    with pytest.raises(FileFormatError, match="has format 99, this speckflex reads 1"):
        Recording.load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_in_one_line(
    tmp_path: Path, rng: np.random.Generator, share: float
):
    path = tmp_path / "run.h5"
    small_recording(rng).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileFormatError, match=r"run\.h5") as caught:
        Recording.load(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=60)
@given(position=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_flipped_byte_never_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, position: float, value: int
):
    path = tmp_path_factory.mktemp("flipped") / "run.h5"
    small_recording(np.random.default_rng(1)).save(path)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] = value
    path.write_bytes(content)
    with contextlib.suppress(FileFormatError):
        Recording.load(path)


def set_dataset(file: h5py.File, name: str, value: Any):
    del file[name]
    file[name] = value


DAMAGE = {
    "a part is missing": (lambda file: file.__delitem__("samples/read"), "'read'"),
    "counts with other axes": (
        lambda file: set_dataset(file, "layers/0/counts", np.zeros((3, 2), int)),
        "expected integers",
    ),
    "counts of other samples": (
        lambda file: set_dataset(file, "layers/0/counts", np.zeros((4, 2, 3, 4), int)),
        "expected integers",
    ),
    "fractions": (
        lambda file: set_dataset(file, "layers/0/counts", np.zeros((3, 2, 3, 4))),
        "float64",
    ),
    "offsets that descend": (
        lambda file: set_dataset(file, "layers/0/events/offsets", [0, 5, 2, 5]),
        "do not ascend from 0",
    ),
    "an address outside the layer": (
        lambda file: file["layers/0/events/x"].__setitem__(0, 9),
        r"field x has values outside 0\.\.3",
    ),
    "text for a number": (
        lambda file: set_dataset(
            file,
            "manifest",
            file["manifest"].asstr()[()].replace('"n_layers": 2', '"n_layers": "2"'),
        ),
        "type int",
    ),
    "a group for a dataset": (
        lambda file: (file.__delitem__("labels"), file.create_group("labels")),
        "no dataset",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_part_is_named(tmp_path: Path, rng: np.random.Generator, name: str):
    damage, message = DAMAGE[name]
    path = tmp_path / "run.h5"
    small_recording(rng).save(path)
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(FileFormatError, match=message):
        Recording.load(path)


def test_a_dataset_in_another_file_is_not_followed(tmp_path: Path, rng: np.random.Generator):
    path, other = tmp_path / "run.h5", tmp_path / "other.h5"
    small_recording(rng).save(path)
    with h5py.File(other, "w") as file:
        file["labels"] = [1, 2, 3]
    with h5py.File(path, "r+") as file:
        del file["labels"]
        file["labels"] = h5py.ExternalLink(str(other), "labels")
    with pytest.raises(FileFormatError, match="labels is a link to elsewhere"):
        Recording.load(path)


def test_a_dataset_that_claims_more_than_it_stores_is_not_unpacked(
    tmp_path: Path, rng: np.random.Generator
):
    path = tmp_path / "run.h5"
    small_recording(rng).save(path)
    with h5py.File(path, "r+") as file:
        del file["layers/0/counts"]
        file.create_dataset(
            "layers/0/counts", (3, 10**4, 10**4, 10**4), "i8", chunks=(1, 10, 10, 10)
        )
    with pytest.raises(FileFormatError, match="claims 24000000000000 bytes"):
        Recording.load(path)


def test_counts_are_found_by_position_in_the_network(rng: np.random.Generator):
    recording = small_recording(rng)
    assert_same_array(recording.counts(1), recording.layers[0].counts)
    assert_same_array(recording.counts(-1), recording.layers[0].counts)
    with pytest.raises(BoardError, match="layer 0 is not in the recording, which holds 1 of 2"):
        recording.counts(0)


def test_events_need_a_sample_that_was_played(rng: np.random.Generator):
    with pytest.raises(BoardError, match="sample 3: the recording holds the events of 3 of 3"):
        small_recording(rng).events(sample=3)


def test_accuracy_is_the_share_of_right_predictions():
    counts = np.array([[3, 1], [1, 3], [2, 2], [0, 1]])[:, :, None, None]
    layer = LayerRecord(0, "out", counts)
    log = (SampleLog(0, 0, 0),) * 4
    recording = Recording((layer,), 1, log, Provenance("", "twin", "twin"))
    assert recording.accuracy() is None
    # The tie of the third sample goes to class 0.
    assert recording.with_labels([0, 1, 1, 1]).accuracy() == 0.75


def test_a_label_for_every_sample_is_needed(rng: np.random.Generator):
    with pytest.raises(BoardError, match="labels of shape"):
        small_recording(rng).with_labels([1])


def test_concatenated_parts_hold_all_samples_in_order(rng: np.random.Generator):
    first, second = small_recording(rng, 2), small_recording(rng, 3)
    whole = concatenate_recordings([first, second])
    assert whole.n_samples == 5
    assert_same_array(whole.counts(1)[2:], second.counts(1))
    assert_same_array(whole.events(1, 4), second.events(1, 2))
    assert_same_array(whole.labels, np.array([0, 1, 0, 1, 2]))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(recording=recordings(), cut=st.integers(0, 4))
def test_parts_hold_the_samples_of_the_whole(recording: Recording, cut: int):
    bounds = ((0, cut), (cut, recording.n_samples))
    parts = [recording.part(*bound) for bound in bounds]
    assert parts[0].samples + parts[1].samples == recording.samples
    for part, (start, stop) in zip(parts, bounds, strict=True):
        assert_same_array(part.labels, cut_of(recording.labels, start, stop))
        for record, whole in zip(part.layers, recording.layers, strict=True):
            assert_same_array(record.counts, whole.counts[start:stop])
            assert_same_array(record.potentials, cut_of(whole.potentials, start, stop))
            assert (record.events is None) == (whole.events is None)
            kept = cut_of(whole.events, start, stop) or ()
            for stream, expected in zip(record.events or (), kept, strict=True):
                assert_same_array(stream, expected)


def cut_of(values: Any, start: int, stop: int):
    return None if values is None else values[start:stop]


def test_what_a_chip_counted_in_the_parts_is_summed(rng: np.random.Generator):
    parts = []
    for late in ("1", "0", "4"):
        part = small_recording(rng)
        settings = {"late_events": late, "gap": "10", "repeated_answers": "none"}
        provenance = replace(part.provenance, settings=settings)
        parts.append(replace(part, provenance=provenance))
    settings = concatenate_recordings(parts).provenance.settings
    assert settings == {"late_events": "5", "gap": "10", "repeated_answers": "none"}


def test_parts_of_different_programs_do_not_join(rng: np.random.Generator):
    first = small_recording(rng)
    other = replace(first, provenance=replace(first.provenance, program_sha256="cd" * 32))
    with pytest.raises(BoardError, match="not parts of one run"):
        concatenate_recordings([first, other])


@pytest.mark.parametrize("name", ["run.nir", "run.speck", "run.npz"])
def test_a_name_of_another_format_is_refused(name: str, tmp_path: Path, rng: np.random.Generator):
    with pytest.raises(FileFormatError, match=r"but HDF5 is written: end its name in \.h5"):
        small_recording(rng).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_small_file_of_many_equal_events_does_not_fill_the_memory(
    tmp_path: Path, rng: np.random.Generator, monkeypatch
):
    monkeypatch.setattr(_hdf5, "ALWAYS_ALLOWED_BYTES", 2**20)
    path = tmp_path / "run.h5"
    small_recording(rng).save(path)
    with h5py.File(path, "r+") as file:
        for name in "txyp":
            del file[f"layers/0/events/{name}"]
            file.create_dataset(f"layers/0/events/{name}", (10**6,), "i1", compression="gzip")[
                :
            ] = 0
        set_dataset(file, "layers/0/events/offsets", [0, 10**6, 10**6, 10**6])
    with pytest.raises(FileFormatError, match="takes far more memory than its file has bytes"):
        Recording.load(path)


def change_manifest(path: Path, change: Callable[[dict], object]):
    with h5py.File(path, "r+") as file:
        manifest = json.loads(file["manifest"].asstr()[()])
        change(manifest)
        del file["manifest"]
        file["manifest"] = json.dumps(manifest)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(n_layers=10**18),
        lambda m: m.update(n_layers=1),
        lambda m: m["provenance"].update(board={"a": 1}),
        lambda m: m["provenance"].update(seed=1.5),
        lambda m: m["provenance"].update(settings={"a": [1]}),
        lambda m: m["provenance"].update(owner="me"),
        lambda m: m["layers"][0].update(name="x" * 10**4),
        lambda m: m.update(stopped=[[1]] * len(m["stopped"])),
    ],
)
def test_a_manifest_with_other_types_is_refused(tmp_path, rng, change):
    path = tmp_path / "run.h5"
    small_recording(rng).save(path)
    change_manifest(path, change)
    with pytest.raises(FileFormatError, match=r"its contents make no recording"):
        Recording.load(path)


def test_names_out_of_a_file_are_printable(tmp_path, rng):
    path = tmp_path / "run.h5"
    small_recording(rng).save(path)
    change_manifest(path, lambda m: m["layers"][0].update(name="\x1b[2Jconv\u202e"))
    assert Recording.load(path).layers[0].name == r"\x1b[2Jconv\u202e"


def test_spikes_come_back_from_pieces_that_cut_samples(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(_hdf5, "PIECE", 7)
    recording = small_recording(rng, 20)
    recording.save(tmp_path / "run.h5")
    assert_same_recording(Recording.load(tmp_path / "run.h5"), recording)
