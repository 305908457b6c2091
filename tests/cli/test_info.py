"""`speckflex info` on every kind of file, against what other readers find in it."""

import hashlib
import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from made_up import played, two_core_program
from networks_of_tests import small_network

from speckflex._support.locks import lock
from speckflex._support.run_folder import MARK
from speckflex.cli import main
from speckflex.conversion.convert import convert
from speckflex.networks.files import save_network
from speckflex.report import build_report, write_report

LEGACY = Path(__file__).resolve().parents[1] / "legacy"


def info(path: Path):
    result = CliRunner().invoke(main, ["info", str(path), "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
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


def test_a_checkpoint_of_a_training_is_described_as_torch_reads_it(tmp_path: Path):
    network = small_network()
    state = {
        "format": 1,
        "settings": {"method": "mtt", "t_max": 10, "vary": ""},
        "data": "ab" * 32,
        "network": network.state_dict(),
        "optimiser": {},
        "history": [
            {"epoch": 1, "validation_accuracy": 0.5},
            {"epoch": 2, "validation_accuracy": 0.75},
        ],
        "best_epoch": 2,
    }
    torch.save(state, tmp_path / "net.pt.checkpoint")
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    facts = info(tmp_path / "net.pt.checkpoint")
    assert facts["kind"] == "checkpoint"
    assert (facts["epochs"], facts["best_epoch"], facts["best_validation_accuracy"]) == (2, 2, 0.75)
    assert facts["provenance"] == {"format": 1, "method": "mtt", "t_max": 10}
    weights = info(tmp_path / "weights.pt")
    assert weights["kind"] == "weights"
    for layers in (facts["layers"], weights["layers"]):
        shapes = {layer["name"]: layer["weights"] for layer in layers}
        assert shapes["conv1.weight"] == list(network.conv1.weight.shape)


def test_what_was_probed_on_a_board_is_described_by_its_answers(tmp_path: Path):
    finding = {"name": "merge_feature", "question": "?", "answer": "0", "hypotheses": ["0", "1"]}
    measured = {"name": "apply_time", "question": "?", "answer": "", "hypotheses": []}
    content = {
        "format": "speckflex probe",
        "version": 1,
        "speckflex": "0.1.0",
        "board": {"name": "speck2f:0", "serial": "7"},
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 5.5,
        "findings": [{**row, "observed": 3, "problem": ""} for row in (finding, measured)],
    }
    (tmp_path / "probe.json").write_text(json.dumps(content, indent=1))
    facts = info(tmp_path / "probe.json")
    assert (facts["kind"], facts["answers"]) == ("probe", {"merge_feature": "0"})
    assert facts["provenance"]["board"] == content["board"]


def test_metrics_are_described_by_their_lines(tmp_path: Path):
    lines = [{"epoch": n, "loss": 1 / n, "validation_accuracy": n / 10} for n in (1, 3, 2)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert info(tmp_path / "train.jsonl")["best_epoch"] == 3
    line = {"test": "a::b", "board": "twin", "program_sha256": "ab", "spike_difference": 0.1}
    (tmp_path / "board.jsonl").write_text(json.dumps(line) + "\n")
    facts = info(tmp_path / "board.jsonl")
    assert facts["figures"] == ["spike_difference"]
    assert facts["provenance"] == {"boards": ["twin"], "programs": ["ab"]}


@pytest.mark.parametrize(
    "line",
    [
        {"epoch": 1, "validation_accuracy": 0.5},
        {"epoch": 1, "loss": 1.0, "validation_accuracy": None},
        {"test": ["a"], "board": "twin"},
    ],
)
def test_lines_of_other_programs_are_no_metrics(tmp_path: Path, line: dict):
    (tmp_path / "m.jsonl").write_text(json.dumps(line) + "\n")
    result = CliRunner().invoke(main, ["info", str(tmp_path / "m.jsonl")])
    assert result.exit_code == 1
    assert "is no file of metrics" in result.stderr


def test_the_folder_of_a_run_that_was_ended_or_goes_on_is_said_to_be_one(tmp_path: Path):
    program, rng = two_core_program(), np.random.default_rng(0)
    out = tmp_path / "out"
    both = {role: played(program, rng, role) for role in ("torch", "twin")}
    write_report(build_report(program, both), out)
    for role, recording in both.items():
        recording.save(out / f"{role}.h5")

    def said() -> list[str]:
        """Return what is said of the folder, of a file in it, and of two recordings in it."""
        files = [str(out / "torch.h5"), str(out / "twin.h5")]
        commands = [["info", str(out)], ["info", files[0]], ["report", str(out)]]
        commands.append(["compare", *files])
        return [CliRunner().invoke(main, words).stderr for words in commands]

    assert said() == [""] * 4
    mark = out / MARK
    mark.write_text("process 12, run 0f0f, started now\n")
    facts = json.loads(CliRunner().invoke(main, ["info", str(out), "--json"]).stdout)
    assert "so that its files may be of two runs" in facts["unfinished"]
    ended = f"warning: {out}: was left by a run that was ended while it worked (process 12, run 0"
    assert [text.startswith(ended) for text in said()] == [True] * 4
    with mark.open() as held:
        assert lock(held)
        going_on = f"warning: {out}: process 12, run 0f0f, started now is writing a run into it"
        assert [text.startswith(going_on) for text in said()] == [True] * 4
        (out / "report.json").unlink()
        failed = CliRunner().invoke(main, ["info", str(out)])
        assert failed.exit_code == 1
        assert "is writing a run into it" in failed.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["a.speck", "a.h5", "a.json", "a.pt", "a.jsonl", "a.checkpoint"])
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    for words in (["info"], ["check"], ["compare", "/dev/zero"], ["report"]):
        result = CliRunner().invoke(main, [*words, str(tmp_path / name)])
        assert result.exit_code in {1, 2}, result.output
        assert "Traceback" not in result.output


METRICS = {
    "deep": '{"a": ' + "[" * 100_000,
    "a text for an accuracy": '{"epoch": 1, "loss": 0, "validation_accuracy": "x"}',
    "no epoch": '{"loss": 0, "validation_accuracy": 1}',
    "a list for a test": '{"test": [1], "board": "twin"}',
    "no UTF-8": '{"test": "\xff", "board": "twin"}',
}


@pytest.mark.parametrize("content", METRICS.values(), ids=METRICS)
def test_metrics_with_other_values_are_refused_in_one_line(tmp_path: Path, content: str):
    path = tmp_path / "a.jsonl"
    path.write_text(content, encoding="latin1")
    result = CliRunner().invoke(main, ["info", str(path)])
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1


def test_a_number_without_value_in_metrics_is_left_out(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"loss": 1e999}')
    (tmp_path / "b.jsonl").write_text(f'{{"loss": 2, "huge": 1{"0" * 400}}}')
    files = [str(tmp_path / f"{name}.jsonl") for name in "ab"]
    result = CliRunner().invoke(main, ["compare", *files, "--json"])
    assert result.exit_code == 0, result.output
    assert "huge" not in result.output


@pytest.mark.parametrize("name", ["a.speck", "a.h5", "a.json", "a.pt", "a.jsonl", "a.checkpoint"])
def test_a_damaged_file_fails_in_one_line(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    result = CliRunner().invoke(main, ["info", str(tmp_path / name)])
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
