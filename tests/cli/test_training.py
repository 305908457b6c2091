"""`speckflex train` and `speckflex finetune` from the command line."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from networks_of_tests import neuron
from sinabs.layers import StatefulLayer
from torch import nn

import speckflex
from speckflex.cli import finetune, main
from speckflex.data import write_synthetic_digits
from speckflex.networks.files import load_network, save_network

QUICK = ("--width", "4", "--t", "4", "--epochs", "2", "--batch-size", "20", "--threads", "1")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder in N-MNIST's layout with 40 recordings, all classes."""
    folder = write_synthetic_digits(tmp_path_factory.mktemp("digits"), split="test") / "Test"
    for label in folder.iterdir():
        if label.is_dir():
            for path in sorted(label.glob("*.bin"))[4:]:
                path.unlink()
    return folder


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_train_then_finetune_gives_networks_that_load_at_rest(digits, tmp_path):
    base, tuned, metrics = (tmp_path / name for name in ("base.pt", "tuned.pt", "m.jsonl"))
    command = ("train", "--data", digits, "--out", base, "--metrics", metrics, "--seed", "1")
    trained = run(*command, *QUICK, "--json")
    assert trained.exit_code == 0, trained.output
    summary = json.loads(trained.stdout)
    assert summary["training_recordings"] + summary["validation_recordings"] == 40
    assert summary["synthetic"] is True
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert summary["validation_loss"] == lines[summary["best_epoch"] - 1]["validation_loss"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "base.pt",
        "base.pt.toml",
        "m.jsonl",
    ]

    command = ("finetune", base, "--method", "mtt", "--t-max", "4", "--samples-per-step", "2")
    finetuned = run(*command, "--data", digits, "--epochs", "1", "--eight-bit", "--out", tuned)
    assert finetuned.exit_code == 0, finetuned.output
    assert f"written: {tuned}" in finetuned.stdout
    assert "synthetic recordings" in finetuned.stdout
    assert "% before, " in finetuned.stdout
    (onward,) = [line for line in finetuned.stdout.splitlines() if "speckflex finetune" in line]
    assert run(*shlex.split(onward)[1:]).exit_code == 0
    assert (tmp_path / "tuned-next.pt").is_file()
    network = load_network(tuned)
    states = [layer for layer in network.modules() if isinstance(layer, StatefulLayer)]
    assert len(states) == 4
    assert all(layer.v_mem.numel() == 0 for layer in states)


def test_training_again_gives_the_same_weights(digits, tmp_path):
    for name in ("a.pt", "b.pt"):
        run("train", "--data", digits, "--out", tmp_path / name, *QUICK)
    first, second = (load_network(tmp_path / name) for name in ("a.pt", "b.pt"))
    assert torch.equal(first.conv1.weight, second.conv1.weight)


def test_the_twin_may_choose_the_epoch(digits, tmp_path):
    metrics = tmp_path / "m.jsonl"
    command = ("train", "--data", digits, "--out", tmp_path / "a.pt", *QUICK)
    chosen = run(*command, "--choose-by", "twin", "--metrics", metrics, "--json")
    assert chosen.exit_code == 0, chosen.output
    summary = json.loads(chosen.stdout)
    accuracies = [json.loads(line)["twin_accuracy"] for line in metrics.read_text().splitlines()]
    assert summary["twin_accuracy"] == max(accuracies)
    assert "% on the twin (epoch" in run(*command, "--choose-by", "twin").stdout


def test_a_board_plays_the_training_and_says_what_it_won(digits, tmp_path):
    base = Path(speckflex.__file__).parent / "models" / "synthetic-digits.pt"
    tuned = tmp_path / "b.pt"
    command = ("finetune", base, "--data", digits, "--out", tuned, "--t", 4)  # the default
    options = ("--epochs", 1, "--threads", 1, "--vary", "order,drop", "--max-load", 50)
    finetuned = run(*command, *options, "--json")
    assert finetuned.exit_code == 0, finetuned.output
    summary = json.loads(finetuned.stdout)
    gain = summary["gain_on_twin"]
    assert summary["board"] == "twin"
    assert gain["after"] == summary["board_accuracy"]
    losses = summary["losses"]
    assert losses["on_twin"] == gain["after"]
    assert sum(losses["by_step"].values()) == pytest.approx(1 - gain["after"])
    assert gain["interval"][0] <= gain["after"] - gain["before"] <= gain["interval"][1]
    assert 0 < summary["peak_load"] <= 50
    refused = run(*command, "--board", "replay:none.h5")
    assert refused.exit_code == 3
    assert "Error: board replay:none.h5: none.h5: no such file" in refused.output
    refused = run(*command, "--method", "mtt", "--board", "virtual:speck2e")
    assert "only method board plays on a board" in refused.output
    refused = run("train", "--method", "board", "--data", digits, "--out", tuned, *QUICK)
    assert refused.exit_code == 1
    assert "method board begins with a trained network" in refused.output


@pytest.mark.parametrize(
    ("words", "clipped"),
    [((), False), (("--clip-weights",), True), (("--method", "mtt"), True)],
)
def test_weights_are_clipped_unless_a_board_plays(words, clipped, tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(finetune, "run_training", lambda options, *_, **__: taken.append(options))
    base = Path(speckflex.__file__).parent / "models" / "synthetic-digits.pt"
    done = run("finetune", base, "--data", tmp_path, "--out", tmp_path / "b.pt", *words)
    assert done.exit_code == 0, done.output
    assert taken[0]["clip_weights"] is clipped


def test_a_finished_training_resumes_from_a_named_checkpoint(digits, tmp_path):
    checkpoint = tmp_path / "run.checkpoint"
    command = ("train", "--data", digits, "--out", tmp_path / "a.pt", *QUICK)
    assert run(*command, "--checkpoint", checkpoint).exit_code == 0
    resumed = run(*command, "--resume", checkpoint, "--json")
    assert json.loads(resumed.stdout)["epochs"] == 2
    other = run(*command, "--resume", checkpoint, "--voting", "potential")
    assert other.exit_code == 1
    assert "is the checkpoint of another network" in other.stderr


def test_batch_norm_is_folded_before_fine_tuning(digits, tmp_path):
    base, folded, tuned = (tmp_path / name for name in ("base.pt", "folded.pt", "tuned.pt"))
    trained = run("train", "--data", digits, "--out", base, "--batch-norm", *QUICK)
    assert trained.exit_code == 0, trained.output
    refused = run("finetune", base, "--data", digits, "--epochs", "1", "--out", tuned)
    assert refused.exit_code == 1
    assert "adds a constant" in refused.stderr
    assert run("fold", base, "--out", folded).exit_code == 0
    command = ("finetune", folded, "--method", "mtt", "--t", "4", "--epochs", "1")
    finetuned = run(*command, "--data", digits, "-o", tuned)
    assert finetuned.exit_code == 0, finetuned.output
    assert not any(isinstance(m, nn.BatchNorm2d) for m in load_network(tuned).modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--t", "0"), "t max is 0"),
        (("--samples-per-step", "0"), "samples per step is 0"),
        (("--epochs", "0"), "epochs is 0"),
        (("--validation-share", "0"), "validation share 0.0"),
        (("--validation-share", "0.9"), "validation share 0.9"),
        (("--method", "bptt"), "method 'bptt' is not known"),
        (("--network", "resnet"), "network 'resnet' is not known"),
        (("--lower-bound", "0"), "lower bound 0.0"),
        (("--resume", "no-such-file"), "no-such-file: can't be read"),
        (("--accelerator", "abacus"), "accelerator 'abacus'"),
    ],
)
def test_bad_options_end_in_one_line(digits, tmp_path, options, message):
    result = run("train", "--data", digits, "--out", tmp_path / "a.pt", *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_data_that_cannot_train_end_in_one_line(digits, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    single = tmp_path / "single"
    shutil.copytree(digits / "3", single / "3")
    for folder, message in ((empty, "holds neither recordings"), (single, "at least two classes")):
        result = run("train", "--data", folder, "--out", tmp_path / "a.pt", *QUICK)
        assert result.exit_code == 1, result.output
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


UNUSABLE = {
    "adds a constant": nn.Sequential(nn.Flatten(), nn.Linear(2312, 10), neuron()),
    "no spiking neuron": nn.Sequential(nn.Flatten(), nn.Linear(2312, 10, bias=False)),
    "does not run on frames": nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), neuron()),
    "3 outputs, the recordings have 10": nn.Sequential(
        nn.Flatten(), nn.Linear(2312, 3, bias=False), neuron()
    ),
}


@pytest.mark.parametrize("message", UNUSABLE)
def test_a_network_that_cannot_be_trained_is_refused_before_a_recording_is_read(
    digits, tmp_path, message
):
    path, folder = tmp_path / "net.pt", tmp_path / "digits"
    shutil.copytree(digits, folder)
    damaged = next(folder.rglob("*.bin"))
    damaged.write_bytes(b"cut")
    save_network(UNUSABLE[message], path)
    result = run("finetune", path, "--data", folder, "--out", tmp_path / "a.pt")
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def damaged_digits(digits, tmp_path_factory):
    """The same recordings, cut short: none of them can be read."""
    folder = tmp_path_factory.mktemp("damaged") / "digits"
    shutil.copytree(digits, folder)
    for path in folder.rglob("*.bin"):
        path.write_bytes(b"cut")
    return folder


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """A folder with a network, and with checkpoints of its training and of its fine-tuning."""
    folder = tmp_path_factory.mktemp("trained")
    base = folder / "base.pt"
    command = ("train", "--data", digits, "--out", base, *QUICK)
    assert run(*command, "--checkpoint", folder / "train.checkpoint").exit_code == 0
    command = ("finetune", base, "--data", digits, "--out", folder / "tuned.pt", *FINE)
    assert run(*command, "--checkpoint", folder / "finetune.checkpoint").exit_code == 0
    (folder / "damaged.checkpoint").write_bytes(b"nothing of the kind")
    return folder


FINE = ("--method", "mtt", "--t", "4", "--epochs", "1", "--threads", "1")
WRONG = [
    ("missing", (), "missing.checkpoint: can't be read"),
    ("damaged", (), "no checkpoint of a training"),
    ("train", ("--epochs", "3"), "was made with epochs 2, now it is 3"),
    ("train", ("--width", "6"), "is the checkpoint of another network"),
]


@pytest.mark.parametrize(("name", "options", "message"), WRONG)
def test_a_training_that_cannot_go_on_is_refused_before_a_recording_is_read(
    damaged_digits, trained, tmp_path, name, options, message
):
    command = ("train", "--data", damaged_digits, "--out", tmp_path / "a.pt", *QUICK, *options)
    result = run(*command, "--resume", trained / f"{name}.checkpoint")
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_fine_tuning_does_not_go_on_from_a_training(damaged_digits, trained, tmp_path):
    command = ("finetune", trained / "base.pt", "--data", damaged_digits, *FINE)
    files = ("--out", tmp_path / "a.pt", "--resume", trained / "train.checkpoint")
    result = run(*command, *files, "--method", "sdt", "--epochs", "2", "--batch-size", "20")
    assert result.exit_code == 1
    assert "train.checkpoint: was made with" in result.stderr


def test_a_good_checkpoint_does_not_keep_a_damaged_recording_from_being_named(
    damaged_digits, trained, tmp_path
):
    command = ("train", "--data", damaged_digits, "--out", tmp_path / "a.pt", *QUICK)
    result = run(*command, "--resume", trained / "train.checkpoint")
    assert result.exit_code == 1
    assert ".bin" in result.stderr


def test_a_finished_fine_tuning_resumes_from_its_checkpoint(digits, trained, tmp_path):
    command = ("finetune", trained / "base.pt", "--data", digits, "--out", tmp_path / "a.pt", *FINE)
    resumed = run(*command, "--resume", trained / "finetune.checkpoint", "--json")
    assert resumed.exit_code == 0, resumed.output
    assert json.loads(resumed.stdout)["epochs"] == 1
    tuned, again = (load_network(path) for path in (trained / "tuned.pt", tmp_path / "a.pt"))
    assert torch.equal(tuned.conv1.weight, again.conv1.weight)


@pytest.mark.parametrize("command", ["train", "finetune"])
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--accelerator", "abacus"), "accelerator 'abacus'"),
        (("--precision", "half"), "precision 'half'"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_the_data_is_looked_for(
    trained, tmp_path, command, option, message
):
    model = (trained / "base.pt",) if command == "finetune" else ()
    files = ("--data", tmp_path / "missing", "--out", tmp_path / "a.pt")
    result = run(command, *model, *files, *option)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_damaged_model_is_refused_before_the_data_is_looked_for(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"no model")
    result = run("finetune", path, "--data", tmp_path / "missing", "--out", tmp_path / "a.pt")
    assert result.exit_code == 1
    assert "net.pt" in result.stderr


def test_a_network_read_by_potential_can_be_made_to_vote_by_spikes(digits, tmp_path):
    base, tuned = tmp_path / "base.pt", tmp_path / "tuned.pt"
    command = ("train", "--data", digits, "--out", base, "--voting", "potential")
    assert run(*command, *QUICK).exit_code == 0
    finetuned = run(
        *("finetune", base, "--vote-by-spikes", "--data", digits, "--t", "4"),
        *("--epochs", "1", "--method", "sdt", "--out", tuned),
    )
    assert finetuned.exit_code == 0, finetuned.output
    assert isinstance(load_network(tuned)[-1], StatefulLayer)
    assert not isinstance(load_network(base)[-1], StatefulLayer)


OWN_NETWORK = """
import sinabs.layers as sl
from torch import nn

def make(n_classes, width=4, input_shape=(2, 34, 34)):
    def neurons():
        return sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)
    return nn.Sequential(
        nn.Conv2d(input_shape[0], width, 3, stride=2, padding=1, bias=False),
        neurons(),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(width * 16, n_classes, bias=False),
        neurons(),
    )

class Own(nn.Sequential):
    pass

def own(n_classes):
    return Own(*make(n_classes))

def fails(n_classes):
    raise ValueError("no")
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "network_to_train.py").write_text(OWN_NETWORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "network_to_train"


def test_a_function_of_the_users_is_trained_with_its_arguments(own_module, digits, tmp_path):
    out = tmp_path / "own.pt"
    command = ("train", "--data", digits, "--out", out, "--t", "4", "--epochs", "1")
    done = run(*command, "--network", f"{own_module}:make width=3", "--batch-size", "20")
    assert done.exit_code == 0, done.output
    network = load_network(out)
    assert network[0].out_channels == 3
    assert network[4].out_features == 10


@pytest.mark.parametrize(
    ("network", "more", "message"),
    [
        ("make", ("--width", "3"), "--width describes the networks of speckflex"),
        ("make depth=3", (), "unexpected keyword argument 'depth'"),
        ("own", (), "holds network_to_train.Own, which is no layer"),
        ("fails", (), "failed (ValueError: no)"),
    ],
)
def test_a_function_that_does_not_fit_is_refused_before_training(
    network, more, message, own_module, digits, tmp_path
):
    command = ("train", "--data", digits, "--out", tmp_path / "own.pt", "--epochs", "1")
    refused = run(*command, "--network", f"{own_module}:{network}", *more)
    assert refused.exit_code == (2 if more else 1), refused.output
    assert message in " ".join(refused.output.split())
    assert not (tmp_path / "own.pt").exists()


def test_built_in_networks_take_arguments_too(digits, tmp_path):
    command = ("train", "--data", digits, "--out", tmp_path / "a.pt", *QUICK)
    assert run(*command, "--network", "nmnist-3c1fc width=6").exit_code == 0
    wide = [
        layer.out_channels
        for layer in load_network(tmp_path / "a.pt")
        if hasattr(layer, "stride") and hasattr(layer, "out_channels")
    ]
    assert max(wide) == 6
