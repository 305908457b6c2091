"""`speckflex info` on every kind of file, against what other readers find in it."""

import hashlib
import json
import zipfile
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner
from networks_of_tests import small_network

from speckflex.cli import main
from speckflex.conversion.convert import convert
from speckflex.networks.files import save_network

LEGACY = Path(__file__).resolve().parents[1] / "legacy"


def info(path: Path):
    result = CliRunner().invoke(main, ["info", str(path), "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.output)
    assert facts["file_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    return facts


def test_a_program_is_described_as_its_manifest_has_it():
    path = LEGACY / "program-0.1.0.speck"
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    facts = info(path)
    assert facts["kind"] == "program"
    assert facts["sha256"] == manifest["sha256"]
    cores = manifest["program"]["cores"]
    assert [layer["core"] for layer in facts["layers"]] == [core["chip_core"] for core in cores]
    assert [layer["threshold_high"] for layer in facts["layers"]] == [
        core["threshold_high"] for core in cores
    ]


def test_a_recording_is_described_as_its_file_has_it():
    path = LEGACY / "recording-0.1.0.h5"
    with h5py.File(path) as file:
        manifest = json.loads(file["manifest"][()])
        spikes = int(file["layers/0/counts"][:].astype(int).sum())
    facts = info(path)
    assert facts["kind"] == "recording"
    assert facts["layers"][0]["spikes"] == spikes
    assert facts["provenance"]["board"] == manifest["provenance"]["board"]


def test_a_network_and_its_program_are_described_in_text(tmp_path: Path):
    network = small_network()
    save_network(network, tmp_path / "model.pt")
    convert(network, (2, 34, 34)).save(tmp_path / "model.speck")
    layers = info(tmp_path / "model.pt")["layers"]
    assert [layer["name"] for layer in layers] == ["conv1", "spike1", "linear", "spike2"]
    assert layers[1]["threshold_high"] == 1
    for name in ("model.pt", "model.speck"):
        result = CliRunner().invoke(main, ["info", str(tmp_path / name)])
        assert result.exit_code == 0
        assert "conv1" in result.output


@pytest.mark.parametrize("name", ["a.speck", "a.h5", "a.json", "a.pt"])
def test_a_damaged_file_fails_in_one_line(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    result = CliRunner().invoke(main, ["info", str(tmp_path / name)])
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
