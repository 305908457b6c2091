"""The experiments with the board in the loop, on a few recordings: each answer, and the tables."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from speckflex.data import open_dataset, write_saccade_recordings
from speckflex.networks.files import save_network
from speckflex.training.pipeline import new_network

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(monkeypatch, script):
    """Return the module of an example, with its folder on the path as when it is started."""
    path = EXAMPLES / script
    monkeypatch.syspath_prepend(str(path.parent))
    for name in ("experiment", "board_data", "board_experiment"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location(path.stem + "_of_" + path.parent.name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(monkeypatch, module, *options):
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["script", *map(str, options)])
    try:
        module.main()
    finally:
        torch.set_num_threads(threads)


def loud(network, gain=4.0):
    """Weights so large that every layer spikes."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.abs_().mul_(gain)
    return network


@pytest.fixture(scope="module")
def gestures(tmp_path_factory):
    """Three people's gestures as tonic keeps them: columns x, y, p, and t in milliseconds."""
    folder, rng = tmp_path_factory.mktemp("gestures"), np.random.default_rng(0)
    for user in ("Train/user01_led", "Train/user02_led", "Test/user24_led"):
        place = folder / f"ibmGesture{user}"
        place.mkdir(parents=True)
        for label in range(11):
            times = np.sort(rng.integers(0, 300, 400))
            x, y = (rng.integers(10 * part, 10 * part + 20, 400) for part in (label, 10 - label))
            events = np.stack([x, y, rng.integers(0, 2, 400), times], axis=1)
            np.save(place / f"{label}.npy", events)
    return folder


def test_gestures_are_tuned_by_each_method_and_compared(gestures, tmp_path, monkeypatch, capsys):
    module = load(monkeypatch, "dvs_gesture/board_experiment.py")
    base = new_network("gesture-4c2fc", seed=0, width=4, batch_norm=False, voting="spikes")
    save_network(loud(base), tmp_path / "base.pt")
    options = ("--data", gestures, "--out", tmp_path, "--t", 2, "--epochs", 1, "--width", 4)
    start(monkeypatch, module, *options)
    lines = capsys.readouterr().out.splitlines()
    labels = open_dataset(gestures, split="test").labels
    for method in ("sdt", "mtt", "board"):
        result = json.loads((tmp_path / f"{method}.json").read_text())
        assert result["settings"]["method"] == method
        assert result["labels"] == labels.tolist()
        for place in ("twin", "torch"):
            answers = np.array(result[f"{place}_predictions"])
            shown = f"{(answers == labels).mean():.1%}"
            assert any(line.startswith(f"| {method} |") and shown in line for line in lines)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Twenty recordings of bars, two of each class, and a base for them."""
    folder = tmp_path_factory.mktemp("bars")
    images = np.zeros((20, 28, 28), np.uint8)
    labels = np.arange(20) % 10
    for image, label in zip(images, labels, strict=True):
        image[4:24, 2 * label + 4 : 2 * label + 7] = 255
    write_saccade_recordings(images, labels, folder / "Train")
    base = loud(new_network("nmnist-3c1fc", seed=0, width=4), gain=1.0)
    save_network(base, folder / "base.pt")
    return folder


def test_real_recordings_are_judged_by_networks_that_never_saw_them(
    digits, tmp_path, monkeypatch, capsys
):
    module = load(monkeypatch, "nmnist/real_folds.py")
    seen, judged = [], []
    tune, answer = module.finetune_network, module.answers_on_twin

    def watched(network, data, settings):
        events = data.training.events
        seen.append(
            {events[place][0].tobytes() for place, (part, _) in enumerate(events.items) if not part}
        )
        return tune(network, data, settings)

    monkeypatch.setattr(module, "finetune_network", watched)
    monkeypatch.setattr(
        module, "answers_on_twin", lambda net, part: judged.append(len(part)) or answer(net, part)
    )
    monkeypatch.setattr(module, "SHOWN", 4)
    options = ("--data", digits, "--simulated", digits, "--base", digits / "base.pt")
    sizes = ("--folds", 2, "--epochs", 1, "--beside", 3, "--repeat", 1, "--frames", 2)
    sizes += ("--methods", "board")
    start(monkeypatch, module, *options, *sizes, "--work", tmp_path, "--out", tmp_path)
    result = json.loads((tmp_path / "folds-board-seed1000.json").read_text())
    assert sorted(result["fold"]) == [0] * 10 + [1] * 10
    for label in range(10):
        assert sorted(np.array(result["fold"])[np.array(result["labels"]) == label]) == [0, 1]
    assert judged == [20, 10, 10]
    right = np.mean(np.array(result["twin_predictions"]) == result["labels"])
    assert result["twin"] == pytest.approx(right)
    assert -2 not in result["twin_predictions"]
    real = [events.tobytes() for events, _ in open_dataset(digits, split="train")]
    for fold, trained in enumerate(seen):
        assert trained == {real[i] for i in range(20) if result["fold"][i] != fold}
    assert f"board, 20 recordings: twin {right:.1%}" in capsys.readouterr().out
