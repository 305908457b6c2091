"""The program and its file: frozen, hashed, repeatable, and safe to read from anyone."""

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import FrozenInstanceError, replace

import numpy as np
import programs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speckflex.errors import ConversionError, FileFormatError
from speckflex.program import _archive as program_file
from speckflex.program.program import Program
from speckflex.program.records import ARRAYS, Core, Destination, InputStage

SEEDS = st.integers(0, 2**32 - 1)


def small_core(**changes):
    values = {
        "name": "conv",
        "neuron_name": "spike",
        "weights": np.arange(18).reshape(2, 1, 3, 3),
        "threshold_high": 20,
        "threshold_low": -20,
        "input_shape": (1, 5, 6),
    }
    return Core(**(values | changes))


def small_program(**changes):
    core = small_core(bias=np.array([1, -2]), initial_state=np.ones((2, 3, 4)), chip_core=3)
    values = {"cores": (core,), "input": InputStage((1, 5, 6)), "metadata": {"from": "a test"}}
    return Program(**(values | changes))


@pytest.fixture
def saved(tmp_path):
    """A good file."""
    path = tmp_path / "model.speck"
    small_program().save(path)
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def changed(path, change):
    """Rewrite the manifest of a file after `change` has had its way with it."""
    contents = members(path)
    manifest = json.loads(contents["manifest.json"])
    change(manifest)
    contents["manifest.json"] = json.dumps(manifest)
    write(path, contents)


def assert_refused(path, match):
    with pytest.raises(FileFormatError, match=match) as caught:
        Program.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 4), st.booleans())
def test_a_saved_program_comes_back_the_same(tmp_path_factory, seed, n_cores, chain):
    rng = np.random.default_rng(seed)
    make = programs.random_chain if chain else programs.random_graph
    program = programs.with_filter(rng, make(rng, n_cores))
    path = tmp_path_factory.mktemp("programs") / "p.speck"
    program.save(path)
    loaded = Program.load(path)
    assert loaded.sha256 == program.sha256
    assert loaded.manifest() == program.manifest()
    assert (loaded.input, loaded.chip) == (program.input, program.chip)
    for ours, theirs in zip(loaded.cores, program.cores, strict=True):
        assert ours.destinations == theirs.destinations
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_the_same_program_gives_the_same_bytes_and_hash(tmp_path):
    for name in ("a", "b"):
        small_program().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert small_program().sha256 == small_program().sha256


def test_the_hash_is_the_same_in_another_process(tmp_path):
    path = tmp_path / "model.speck"
    small_program().save(path)
    code = (
        "import sys; from speckflex.program import Program;"
        f"print(Program.load({str(path)!r}).sha256, 'torch' in sys.modules)"
    )
    result = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout.split() == [small_program().sha256, "False"]


@pytest.mark.parametrize(
    "change",
    [
        {"weights": np.zeros((2, 1, 3, 3))},
        {"threshold_high": 21},
        {"threshold_low": -21},
        {"return_to_zero": True},
        {"bias": None},
        {"bias": np.array([1, -3])},
        {"initial_state": None},
        {"chip_core": 4},
        {"scale": 2.0},
        {"decimator_interval": 2},
        {"congestion_balancer": True},
        {"padding": (1, 1), "initial_state": None},
    ],
)
def test_whatever_a_board_sees_changes_the_hash(change):
    program = small_program()
    other = replace(program, cores=(replace(program.cores[0], **change),))
    assert other.sha256 != program.sha256


def test_metadata_does_not_change_the_hash_but_is_kept(saved):
    assert replace(small_program(), metadata={"other": "text"}).sha256 == small_program().sha256
    assert Program.load(saved).metadata == {"from": "a test"}


def test_nothing_of_a_program_can_be_changed():
    program = small_program()
    with pytest.raises(FrozenInstanceError):
        program.chip = "speck2f"
    with pytest.raises(ValueError, match="read-only"):
        program.cores[0].weights[0] = 1
    with pytest.raises(TypeError):
        program.metadata["from"] = "elsewhere"


def test_a_program_does_not_share_the_callers_array():
    weights = np.ones((2, 1, 3, 3), dtype=np.int8)
    core = small_core(weights=weights)
    weights[:] = 5
    assert (core.weights == 1).all()


@settings(max_examples=150)
@given(st.data())
def test_no_damaged_byte_gives_anything_but_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "model.speck"
    program = small_program()
    program.save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    try:
        loaded = Program.load(path)
    except FileFormatError as error:
        message = str(error)
    else:
        message = ""
        assert loaded.sha256 == program.sha256
    assert "\n" not in message


def test_a_missing_file_a_folder_and_other_files_are_refused(tmp_path):
    assert_refused(tmp_path / "none.speck", "can't be read .*No such file")
    assert_refused(tmp_path, "can't be read .*directory")
    other = tmp_path / "other"
    for content in (b"", b"text", b"\x80\x04\x95pickle"):
        other.write_bytes(content)
        assert_refused(other, "not a .speck file, or cut short")
    write(other, {"something": "else"})
    assert_refused(other, "has no manifest.json")


def test_every_shortened_file_is_refused(saved):
    content = saved.read_bytes()
    for length in range(0, len(content) - 1, 37):
        saved.write_bytes(content[:length])
        assert_refused(saved, "not a .speck file, or cut short")


@pytest.mark.parametrize(
    ("record", "flags", "name"), [(b"PK\x01\x02", 8, 46), (b"PK\x03\x04", 6, 30)]
)
def test_a_member_whose_name_is_no_text_is_refused(saved, record, flags, name):
    """Bit 11 of the flags says UTF-8: APPNOTE.TXT of the zip format, 4.4.4 and appendix D."""
    content = bytearray(saved.read_bytes())
    at = content.index(record)
    content[at + flags + 1] |= 1 << 3
    content[at + name] = 0xB1
    saved.write_bytes(content)
    assert_refused(saved, "can't decode byte 0xb1")


@pytest.mark.parametrize("manifest", ["", "{", "\xff", "[" * 100_000])
def test_a_manifest_that_is_no_json_is_refused(saved, manifest):
    write(saved, members(saved) | {"manifest.json": manifest})
    assert_refused(saved, "is no JSON")


@pytest.mark.parametrize("version", [0, 3, True, None, "1", [1]])
def test_another_format_is_refused(saved, version):
    changed(saved, lambda manifest: manifest.__setitem__("format", version))
    assert_refused(saved, "this speckflex reads 1 and 2: update speckflex or convert again")


def set_core(name, value):
    return lambda manifest: manifest["program"]["cores"][0].__setitem__(name, value)


def set_input(name, value):
    return lambda manifest: manifest["program"]["input"].__setitem__(name, value)


WRONG = {
    "no program": lambda manifest: manifest.pop("program"),
    "no cores": lambda manifest: manifest["program"].__setitem__("cores", []),
    "cores are no list": lambda manifest: manifest["program"].__setitem__("cores", 3),
    "metadata is no map": lambda manifest: manifest.__setitem__("metadata", 3),
    "chip unknown": lambda manifest: manifest["program"].__setitem__("chip", "speck9"),
    "unknown field": set_core("colour", "red"),
    "stride zero": set_core("stride", [0, 1]),
    "stride text": set_core("stride", ["a", "b"]),
    "stride short": set_core("stride", [1]),
    "padding negative": set_core("padding", [-1, 0]),
    "threshold text": set_core("threshold_high", "20"),
    "threshold fraction": set_core("threshold_high", 20.5),
    "threshold none": set_core("threshold_low", None),
    "scale zero": set_core("scale", 0),
    "scale text": set_core("scale", "x"),
    "readout unknown": set_core("readout", "smell"),
    "core out of range": set_core("chip_core", 9),
    "name no text": set_core("name", 7),
    "flag no flag": set_core("return_to_zero", "no"),
    "sends to itself": set_core("destinations", [{"core": 0, "pooling": 1, "feature_shift": 0}]),
    "destination field": set_core("destinations", [{"kernel": 0}]),
    "destinations no list": set_core("destinations", 5),
    "object weights": set_core("weights", {"dtype": "object", "shape": [2, 1, 3, 3]}),
    "unknown dtype": set_core("weights", {"dtype": "int7", "shape": [2, 1, 3, 3]}),
    "wrong shape": set_core("weights", {"dtype": "int8", "shape": [2, 1, 3, 2]}),
    "negative shape": set_core("weights", {"dtype": "int8", "shape": [-2, 1, 3, 3]}),
    "huge shape": set_core("weights", {"dtype": "int8", "shape": [10**12, 10**12]}),
    "no array": set_core("weights", None),
    "input pooling zero": set_input("pooling", [0, 1]),
    "input shape short": set_input("shape", [1, 5]),
    "input destination": set_input("destinations", [{"core": 1}]),
    "input pooling of a destination": set_input("destinations", [{"core": 0, "pooling": 0}]),
    "region outside": set_input("origin", [9, 9]),
    "an altered number": set_core("threshold_high", 19),
    "a wrong hash": lambda manifest: manifest.__setitem__("sha256", "0" * 64),
    "no hash": lambda manifest: manifest.pop("sha256"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_manifest_that_says_something_wrong_is_refused(saved, case):
    changed(saved, WRONG[case])
    assert_refused(saved, "convert the network again")


def test_an_array_that_is_missing_pickled_or_altered_is_refused(saved):
    name, contents = "cores/0/weights.npy", members(saved)
    write(saved, {key: value for key, value in contents.items() if key != name})
    assert_refused(saved, "make no program")
    pickled = io.BytesIO()
    np.save(pickled, np.array([print] * 18, dtype=object).reshape(2, 1, 3, 3), allow_pickle=True)
    write(saved, contents | {name: pickled.getvalue()})
    assert_refused(saved, "convert the network again")
    altered = io.BytesIO()
    np.save(altered, np.zeros((2, 1, 3, 3), dtype=np.int8))
    write(saved, contents | {name: altered.getvalue()})
    assert_refused(saved, "the file was altered")


def test_a_member_that_unpacks_to_far_more_than_stated_is_stopped_early(saved):
    bomb = b"\x93NUMPY" + b"\0" * 200_000_000
    write(saved, members(saved) | {"cores/0/weights.npy": bomb})
    assert saved.stat().st_size < 1_000_000
    assert_refused(saved, r"unpacks to more than the \d+ bytes")


def test_a_manifest_may_not_fill_the_memory(saved, monkeypatch):
    monkeypatch.setattr(program_file, "MAX_MANIFEST_BYTES", 100)
    assert_refused(saved, "manifest.json unpacks to more than the 100 bytes")


def test_a_claim_of_size_does_not_lift_the_limit(saved, monkeypatch):
    monkeypatch.setattr(program_file, "MAX_ARRAY_BYTES", 1000)
    set_size = set_core("weights", {"dtype": "int8", "shape": [10**6, 1, 1000, 1000]})
    changed(saved, set_size)
    write(saved, members(saved) | {"cores/0/weights.npy": b"\0" * 10_000_000})
    assert_refused(saved, "unpacks to more than the 5096 bytes")


def test_a_failed_save_leaves_the_old_file(tmp_path):
    with pytest.raises(FileFormatError, match="can't be written"):
        small_program().save(tmp_path / "no folder" / "model.speck")
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(FileFormatError, match="can't be written"):
        small_program().save(target)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["model.pt", "model.NPZ", "model.nir"])
def test_a_program_is_not_saved_under_the_suffix_of_another_format(tmp_path, name):
    with pytest.raises(FileFormatError, match=r"end its name in \.speck"):
        small_program().save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    small_program().save(tmp_path / "model.v2")
    assert Program.load(tmp_path / "model.v2").sha256 == small_program().sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.full((2, 1, 3, 3), 128)}, "do not fit int8"),
        ({"weights": np.full((2, 1, 3, 3), 0.5)}, "do not fit int8"),
        ({"weights": np.zeros((2, 3, 3))}, "do not fit int8 with 4 axes"),
        ({"weights": np.zeros((2, 2, 3, 3))}, "give no output on input"),
        ({"weights": np.zeros((2, 1, 7, 3))}, "give no output on input"),
        ({"bias": np.zeros(3)}, "bias has shape"),
        ({"initial_state": np.zeros((2, 3, 3))}, "initial_state has shape"),
        ({"threshold_high": -1}, "thresholds"),
        ({"threshold_high": 2**15}, "thresholds"),
        ({"threshold_low": 1}, "thresholds"),
        ({"stride": (0, 1)}, "stride"),
        ({"decimator_interval": 8}, "decimator_interval"),
    ],
)
def test_a_core_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ConversionError, match=f"^core conv: .*{message}"):
        small_core(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cores": ()}, "the program has no core"),
        ({"chip": "speck1"}, "chip 'speck1' is not known"),
        ({"input": InputStage((1, 5, 6), (Destination(1),))}, "sends to core 1 of 1"),
        ({"input": InputStage((1, 9, 9))}, r"sends \(1, 9, 9\) .* takes \(1, 5, 6\)"),
        ({"input": InputStage((1, 5, 6), (Destination(0, 1, 1),))}, r"sends \(2, 5, 6\)"),
        ({"cores": (small_core(chip_core=2), small_core(chip_core=2))}, r"on cores \[2, 2\]"),
    ],
)
def test_a_program_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ConversionError, match=message):
        small_program(**change)


def test_numbers_of_numpy_make_the_same_program_as_pythons():
    def core(number, real):
        weights = np.ones((1, 1, 1, 1), np.int8)
        sizes = (number(1), number(4), number(4))
        return Core("a", weights, number(3), number(-3), sizes, scale=real(2))

    plain, numpys = (
        Program((core(*kinds),), InputStage((1, 4, 4)))
        for kinds in ((int, float), (np.int64, np.float32))
    )
    assert plain.sha256 == numpys.sha256
