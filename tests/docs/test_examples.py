"""The examples, each at its smallest size, as a user would start them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from speckflex.program.program import Program
from speckflex.recordings.recording import Recording

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# sinabs_script.py has its own test beside those of the virtual devkit.
SMALLEST = {
    "nir/run.py": ("--tiny",),
    "dvs_gesture/run.py": ("--size", "tiny"),
    "nmnist/run.py": ("--size", "tiny"),
}


def run_example(script, *options):
    command = [sys.executable, str(EXAMPLES / script), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=SMALLEST)
def finished(request, tmp_path_factory):
    """The folder that an example has written, and what it printed."""
    out = tmp_path_factory.mktemp("example")
    printed = run_example(request.param, *SMALLEST[request.param], "--board", "twin", "--out", out)
    return out, printed


def test_an_example_ends_in_a_report_that_says_synthetic(finished):
    out, printed = finished
    report = json.loads((out / "report" / "report.json").read_text())
    assert report["synthetic"] is True
    assert report["board"] == "twin"
    assert report["accuracy"]["torch"] is not None
    assert report["accuracy"]["twin"] is not None
    assert "synthetic" in printed


def test_the_report_of_an_example_is_of_its_program(finished):
    out, _ = finished
    program = Program.load(out / "report" / "program.speck")
    recording = Recording.load(out / "report" / "recording-twin.h5")
    assert recording.provenance.program_sha256 == program.sha256
    assert recording.counts(0).sum() > 0


def test_an_example_draws_its_network(finished):
    out, _ = finished
    program = Program.load(out / "report" / "program.speck")
    drawn = "".join(ET.parse(out / "network.svg").getroot().itertext())  # noqa: S314  our own
    for core in program.cores:
        assert core.name in drawn


def test_the_nir_graph_carries_the_trained_weights(tmp_path):
    from speckflex.networks.files import load_network

    rng = np.random.default_rng(0)
    shapes = {"conv1": (8, 2, 3, 3), "conv2": (16, 8, 3, 3), "linear": (10, 256)}
    weights = {
        f"{name}.weight": rng.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    np.savez(tmp_path / "weights.npz", **weights)
    run_example("nir/export.py", tmp_path / "weights.npz", "--out", tmp_path / "net.nir")
    network = load_network(tmp_path / "net.nir")
    for name in shapes:
        loaded = network.get_submodule(name).weight.detach().numpy()
        assert np.array_equal(loaded, weights[f"{name}.weight"])


@pytest.mark.filterwarnings("default")
def test_the_plain_torch_network_is_the_one_that_its_graph_describes(tmp_path, monkeypatch):
    """Both ways of saying the network give the same output for the same frames."""
    import torch

    from speckflex.networks.files import load_network

    monkeypatch.syspath_prepend(str(EXAMPLES / "nir"))
    import export
    import nir
    import train

    torch.manual_seed(0)
    network = train.SpikingNetwork()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    nir.write(tmp_path / "net.nir", export.build_graph(weights))
    loaded = load_network(tmp_path / "net.nir")
    frames = torch.randint(0, 3, (1, 5, 2, 34, 34)).float()
    with torch.no_grad():
        assert torch.allclose(network(frames), loaded(frames[0]).mean(0, keepdim=True), atol=1e-5)


def test_the_bundled_network_s_training_ends_in_a_network_that_converts(tmp_path):
    from speckflex.conversion.convert import convert
    from speckflex.networks.files import load_network

    printed = run_example("bundled/train_bundled.py", "--tiny", "--out", tmp_path / "tiny.pt")
    assert "unseen images, twin:" in printed
    program = convert(load_network(tmp_path / "tiny.pt"), (2, 34, 34))
    bundled = convert(
        load_network(EXAMPLES.parent / "speckflex" / "models" / "synthetic-digits.pt"), (2, 34, 34)
    )
    shapes = [[core.weights.shape for core in one.cores] for one in (program, bundled)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("board", ["twin", "virtual:speck2e"])
def test_the_hardware_suite_passes_without_hardware(board, tmp_path):
    command = [sys.executable, "-m", "pytest", str(EXAMPLES / "hil"), "--board", board, "-q"]
    cache = ["-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603
        [*command, *cache], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_is_on_its_page_and_runs_pytest_with_known_options():
    import yaml

    text = (EXAMPLES / "hil" / "github.yml").read_text(encoding="utf-8")
    page = (EXAMPLES.parent / "docs" / "testing.md").read_text(encoding="utf-8")
    assert text.partition("\n")[2] in page
    steps = yaml.safe_load(text)["jobs"]["without-a-chip"]["steps"]
    command = next(step["run"] for step in steps if "pytest hil" in step.get("run", ""))
    plugin = (EXAMPLES.parent / "speckflex" / "pytest_plugin" / "_choices.py").read_text()
    options = re.findall(r"--[a-z-]+", command.replace("--junitxml", ""))
    assert options
    assert all(f'"{option}"' in plugin for option in options)


def test_the_tables_of_early_exit_are_those_of_its_results():
    """README.md holds what table.py prints of the files beside it."""
    folder = EXAMPLES / "early_exit"
    printed = run_example("early_exit/table.py", folder / "results")
    page = (folder / "README.md").read_text(encoding="utf-8")
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(rows) > 8
    for row in rows:
        assert row in page.splitlines()


@pytest.mark.parametrize("results", ["cpu", "gpu-h100", "gpu-h100-12-epochs"])
def test_the_tables_of_time_stepped_networks_are_those_of_their_results(results):
    printed = run_example("time_stepped/table.py", EXAMPLES / "time_stepped" / "results" / results)
    page = (EXAMPLES.parent / "docs" / "stages" / "time_stepped.md").read_text(encoding="utf-8")
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(rows) > 2
    assert set(rows) <= set(page.splitlines())


def test_the_table_of_chosen_time_steps_is_that_of_its_results():
    printed = run_example("tune/table.py", EXAMPLES / "tune" / "results")
    page = (EXAMPLES.parent / "docs" / "stages" / "tune.md").read_text(encoding="utf-8")
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert set(rows) <= set(page.splitlines())


def test_the_table_of_two_networks_under_noise_is_that_of_its_result():
    printed = run_example("analyse/table.py", EXAMPLES / "analyse" / "results" / "nmnist.json")
    page = (EXAMPLES.parent / "docs" / "stages" / "analyse.md").read_text(encoding="utf-8")
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(rows) > 20
    assert set(rows) <= set(page.splitlines())
