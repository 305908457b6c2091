"""The paper's recipes against tables written from the paper and its published readme."""

import json
import re
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from speckflex.cli import main
from speckflex.errors import TrainingError
from speckflex.networks.paper import NETWORKS, NEURONS
from speckflex.training import TrainingSettings
from speckflex.training.gain import paired_gain
from speckflex.training.recipes import RECIPES, find_recipe
from speckflex.training.results import origin_of, result_of, settings_sha256
from speckflex.version import __version__

# Du et al. 2025: 4.3 (sum, copy, s = 3), A.2 (augmentation), A.3; the published readme for
# DVS-Gesture and the published script for CIFAR10-DVS give optimisers and epochs.
MIXED = {
    "method": "mtt",
    "samples_per_step": 3,
    "sampler": "uniform",
    "upsampling": "copy",
    "output": "mean",
    "granularity": None,
    "batch_size": 32,
    "eight_bit": False,
    "clip_weights": False,
    "synops_weight": 0.0,
}
ADAMW = {
    "optimiser": "adamw",
    "learning_rate": 5e-4,
    "weight_decay": 0.02,
    "cosine_epochs": 100,
    "final_learning_rate": 1e-7,
}
GESTURE = {"t_max": 40, "augment": "roll:20,flip:lr", "input_frames": "trim", **ADAMW}
CIFAR = {"t_max": 10, "augment": "roll:5,flip:lr", "input_frames": "sum"}
TABLES = {
    ("paper-nmnist", "training"): MIXED
    | {"t_max": 10, "epochs": 30, "optimiser": "adamw", "learning_rate": 1e-3}
    | {"weight_decay": 0.0, "keep": "last", "augment": "", "input_frames": "sum"},
    ("paper-gesture", "training"): MIXED | GESTURE | {"method": "sdt", "epochs": 100},
    ("paper-gesture", "finetuning"): MIXED | GESTURE | {"epochs": 20},
    ("paper-cifar10dvs", "training"): MIXED | CIFAR | ADAMW | {"method": "sdt", "epochs": 100},
    ("paper-cifar10dvs", "finetuning"): MIXED
    | CIFAR
    | {"epochs": 60, "optimiser": "sgd", "learning_rate": 1e-3, "weight_decay": 5e-4},
}


@pytest.mark.parametrize(("name", "step"), TABLES)
def test_settings_are_those_of_the_table(name, step):
    settings = asdict(getattr(find_recipe(name), step))
    assert {key: settings[key] for key in TABLES[name, step]} == TABLES[name, step]


@pytest.mark.parametrize("name", ["paper-nmnist", "paper-gesture", "paper-cifar10dvs"])
def test_networks_are_those_of_the_paper(name):
    """Multi-step neurons (A.3); IF voting on N-MNIST alone, and batch norm on the others."""
    recipe = find_recipe(name)
    small = name == "paper-nmnist"
    assert recipe.network in NETWORKS
    assert recipe.neuron == "multi-spike"
    assert recipe.neuron in NEURONS
    assert recipe.voting == ("spikes" if small else "potential")
    assert recipe.batch_norm is not small
    assert (recipe.finetuning is None) is small
    assert recipe.training.batch_norm_mode == "train"
    assert small or recipe.finetuning.batch_norm_mode == "locked"


def test_a_recipe_of_another_name_is_refused():
    with pytest.raises(TrainingError, match="recipe 'paper' is not known: choose one of paper-nm"):
        find_recipe("paper")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", ["train", "finetune"])
@pytest.mark.parametrize("name", RECIPES)
def test_explain_lists_every_setting_and_difference_without_data(name, command):
    model = ("none.pt",) if command == "finetune" else ()
    order = (
        ("--explain", "--recipe", name) if command == "train" else ("--recipe", name, "--explain")
    )
    shown = run(command, *model, *order)
    recipe = find_recipe(name)
    assert shown.exit_code == 0, shown.output
    for difference in recipe.differences:
        assert f"- {difference.subject}: here {difference.here}; paper: " in shown.stdout
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines() if line.strip()}
    assert rows["network"][1] == recipe.network.split()[0]
    assert rows["t_max"][1] == str(recipe.training.t_max)
    assert rows["learning_rate"][1] == str(recipe.training.learning_rate)
    # the commands limit gradients, the paper does not
    assert rows["clip_gradient"][1] == "0.0"
    assert f"speckflex train --recipe {name}" in shown.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_without_fine_tuning_is_refused_by_finetune(name, tmp_path):
    model = tmp_path / "none.pt"
    model.touch()
    result = run(
        "finetune", model, "--recipe", name, "--data", tmp_path, "--out", tmp_path / "o.pt"
    )
    assert result.exit_code == 1
    missing = find_recipe(name).finetuning is None
    assert (f"recipe {name} has no fine-tuning" in result.stderr) is missing


def test_explain_alone_and_unknown_recipes_are_refused_in_one_line():
    alone = run("train", "--explain")
    assert alone.exit_code == 2
    assert "give --recipe too" in alone.output
    unknown = run("train", "--recipe", "paper-mnist", "--explain")
    assert unknown.exit_code == 1
    assert unknown.stderr.count("\n") == 1
    assert "recipe 'paper-mnist' is not known" in unknown.stderr


def test_a_training_takes_the_recipe_and_says_what_the_command_line_changes(tmp_path):
    data = ("--data", "synthetic-digits", "--samples", 20, "--threads", 1)
    small = ("--t", 2, "--epochs", 1, "--width", 4, "--seed", 5)
    out = tmp_path / "a.pt"
    command = ("train", "--recipe", "paper-nmnist", *data, *small, "--out", out)
    trained = run(*command, "--json")
    assert trained.exit_code == 0, trained.output
    summary = json.loads(trained.stdout)
    recipe = find_recipe("paper-nmnist").training
    assert summary["settings"] == asdict(replace(recipe, t_max=2, epochs=1, seed=5))
    assert summary["recipe"] == "paper-nmnist"
    assert summary["changed_from_recipe"] == {"t_max": 2, "epochs": 1}
    network = torch.load(out, weights_only=False)
    assert float(network.spike1.min_v_mem) == -1.0
    assert float(network.spike4.spike_threshold) == 1.0


def test_a_result_states_code_settings_and_predictions_as_json():
    settings = TrainingSettings(method="mtt", seed=3)
    labels, twin = np.array([0, 1, 2, 1]), np.array([0, 1, -1, 1])
    result = json.loads(json.dumps(result_of(settings, labels, {"twin": twin})))
    assert result["speckflex"] == __version__
    assert result["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", result["commit"])
    assert TrainingSettings(**result["settings"]) == settings
    assert result["accuracy"] == {"twin": 0.75}
    assert result["predictions"]["twin"] == [0, 1, -1, 1]
    assert origin_of(settings)["settings_sha256"] == result["settings_sha256"]


def test_the_hash_is_one_for_all_seeds_and_another_for_any_other_setting():
    settings = TrainingSettings()
    assert settings_sha256(replace(settings, seed=9)) == settings_sha256(settings)
    others = {
        "epochs": 26, "learning_rate": 0.1, "sampler": "fixed-first", "augment": "shift:1",
        "granularity": 2, "input_frames": "trim", "keep": "last", "method": "mtt",
    }  # fmt: skip
    assert set(others) < {field.name for field in fields(TrainingSettings)}
    hashes = {settings_sha256(replace(settings, **{k: v})) for k, v in others.items()}
    assert len(hashes | {settings_sha256(settings)}) == len(others) + 1


def test_predictions_of_two_results_give_mcnemars_test():
    """Of 10 recordings the second has 5 right alone, the first none: 2 * (1/2)^5."""
    labels = np.zeros(10, np.int64)
    first = result_of(
        TrainingSettings(), labels, {"twin": np.r_[np.ones(5, int), np.zeros(5, int)]}
    )
    second = result_of(TrainingSettings(), labels, {"twin": labels})
    right = [
        np.array(result["predictions"]["twin"]) == result["labels"] for result in (first, second)
    ]
    assert paired_gain(*right).p_value == pytest.approx(2 * 0.5**5)
