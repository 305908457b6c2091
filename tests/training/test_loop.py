"""The training loop: what it learns, repeats, resumes, refuses and reports."""

import copy
import json
import math
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from sinabs.layers import IAFSqueeze, StatefulLayer
from torch import nn

from speckflex.errors import NetworkError, TrainingError
from speckflex.training import (
    FrameSet,
    TrainingData,
    TrainingFiles,
    TrainingSettings,
    evaluate,
    finetune_network,
    fit,
    merge_network,
    train_network,
)
from speckflex.training._calibration import lock_batch_norm, recalibrate_batch_norm
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.pipeline import add_voting_neuron, bounded_neuron, new_network

SETTINGS = TrainingSettings(t_max=4, epochs=3, batch_size=8, learning_rate=0.01, augment="shift:1")


def small_network(*, batch_norm=False, bias=False, seed=0):
    """A network for recordings of shape (1, 6, 6) and two classes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = OrderedDict(conv1=nn.Conv2d(1, 4, 3, padding=1, bias=bias))
        if batch_norm:
            layers["norm1"] = nn.BatchNorm2d(4)
        layers["spike1"] = IAFSqueeze(batch_size=1, min_v_mem=torch.tensor(-1.0))
        layers["pool1"] = nn.AvgPool2d(2)
        layers["flatten"] = nn.Flatten()
        layers["linear2"] = nn.Linear(36, 2, bias=False)
        return nn.Sequential(layers)


def recordings(n, seed):
    """Events in the upper half for class 0, in the lower half for class 1."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    frames = torch.randint(0, 2, (n, 4, 1, 6, 6), generator=generator, dtype=torch.uint8)
    for index, label in enumerate(labels):
        rows = slice(0, 3) if label else slice(3, 6)
        frames[index, ..., rows, :] = 0
    return FrameSet(frames, labels)


@pytest.fixture
def data():
    return TrainingData(recordings(42, 1), recordings(10, 2))


@pytest.mark.parametrize("method", ["sdt", "nmt", "mtt"])
def test_each_method_learns_what_can_be_learnt(data, method):
    settings = TrainingSettings(method=method, t_max=4, epochs=8, batch_size=8, learning_rate=0.02)
    result = fit(small_network(), data, settings)
    assert result.best.validation_accuracy == 1.0
    assert result.history[-1].loss < result.history[0].loss


def test_the_result_is_the_best_epoch_on_validation_at_rest(data):
    result = fit(small_network(), data, SETTINGS)
    again = evaluate(MixedTimestepNetwork(result.network), data.validation)
    assert again.loss == pytest.approx(result.best.validation_loss)
    assert again.accuracy == result.best.validation_accuracy
    best = max(result.history, key=lambda m: (m.validation_accuracy, -m.validation_loss))
    assert result.best == best
    untouched = fit(small_network(), data, SETTINGS).network
    for layer in untouched.modules():
        if isinstance(layer, StatefulLayer):
            assert layer.v_mem.numel() == 0


@pytest.mark.parametrize("method", ["sdt", "nmt", "mtt"])
def test_the_same_call_gives_the_same_network_and_leaves_global_numbers_alone(data, method):
    settings = TrainingSettings(method=method, t_max=4, epochs=2, batch_size=8, augment="shift:1")
    network = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = fit(network, data, settings)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    second = fit(network, data, settings)
    assert torch.equal(torch.get_rng_state(), state)
    assert_equal_weights(first.network, second.network)
    assert_equal_states(network.state_dict(), before)


def test_a_limit_of_the_gradient_shortens_the_step_and_keeps_its_direction(data):
    before = small_network()
    steps = []
    for limit in (0.0, 1e6, 1e-3):
        # a single step of plain descent: the momentum begins with the gradient itself
        settings = replace(SETTINGS, optimiser="sgd", epochs=1, batch_size=42, learning_rate=0.01)
        settings = replace(settings, keep="last", clip_gradient=limit)
        after = fit(small_network(), data, settings).network
        pairs = zip(after.parameters(), before.parameters(), strict=True)
        steps.append(torch.cat([(new - old).detach().flatten() for new, old in pairs]).double())
    free, loose, clipped = steps
    assert torch.equal(free, loose)
    assert free.norm() > 1e-3
    # weights have 24 bits, and the step is some millionths of them
    assert clipped.norm() == pytest.approx(0.01 * 1e-3, rel=0.05)
    assert torch.cosine_similarity(free, clipped, dim=0) > 0.99


class KilledError(Exception):
    """Stands for a killed process."""


def kill_at(step):
    def watch(progress):
        if progress.step == step:
            raise KilledError

    return watch


@pytest.mark.parametrize(
    "choice",
    [
        {"method": "sdt"},
        {"method": "mtt", "eight_bit": True, "clip_weights": True},
        {"method": "nmt", "optimiser": "sgd", "synops_weight": 0.1},
    ],
)
def test_a_killed_training_resumes_to_the_same_bits(data, tmp_path, choice):
    settings = TrainingSettings(
        t_max=4, epochs=4, batch_size=8, augment="shift:1", seed=5, **choice
    )
    network = small_network(batch_norm=True)
    whole = fit(network, data, settings)
    checkpoint = tmp_path / "run.checkpoint"
    with pytest.raises(KilledError):
        fit(network, data, settings, files=TrainingFiles(checkpoint), watch=kill_at(15))
    files = TrainingFiles(checkpoint, tmp_path / "metrics.jsonl", resume=checkpoint)
    resumed = fit(network, data, settings, files=files)
    assert_equal_weights(whole.network, resumed.network)
    figures = [(m.loss, m.accuracy, m.validation_loss) for m in whole.history]
    assert [(m.loss, m.accuracy, m.validation_loss) for m in resumed.history] == figures
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]


def test_checkpoints_of_something_else_are_refused_in_one_line(data, tmp_path):
    checkpoint = tmp_path / "run.checkpoint"
    fit(small_network(), data, SETTINGS, files=TrainingFiles(checkpoint))
    files = TrainingFiles(resume=checkpoint)
    with pytest.raises(
        TrainingError, match=r"of another network \(only the network has network.norm1"
    ):
        fit(small_network(batch_norm=True), data, SETTINGS, files=files)
    other = TrainingData(data.training, recordings(10, 3))
    with pytest.raises(TrainingError, match="other recordings or another split"):
        fit(small_network(), other, SETTINGS, files=files)
    settings = TrainingSettings(
        t_max=4, epochs=9, batch_size=8, learning_rate=0.01, augment="shift:1"
    )
    with pytest.raises(TrainingError, match="was made with epochs 3, now it is 9"):
        fit(small_network(), data, settings, files=files)


@pytest.mark.parametrize("saved", [None, "absent"])
def test_a_checkpoint_without_a_limit_of_gradients_has_none(data, tmp_path, saved):
    """Version 0.1.0 had no such setting."""
    checkpoint = tmp_path / "run.checkpoint"
    fit(small_network(), data, SETTINGS, files=TrainingFiles(checkpoint))
    state = torch.load(checkpoint, weights_only=True)
    state["settings"]["clip_gradient"] = saved
    if saved == "absent":
        del state["settings"]["clip_gradient"]
    torch.save(state, checkpoint)
    files = TrainingFiles(resume=checkpoint)
    assert len(fit(small_network(), data, SETTINGS, files=files).history) == SETTINGS.epochs
    limited = replace(SETTINGS, clip_gradient=1.0)
    with pytest.raises(TrainingError, match=r"with clip gradient 0\.0, now it is 1\.0"):
        fit(small_network(), data, limited, files=files)


def test_files_that_are_no_checkpoint_are_refused_in_one_line(data, tmp_path):
    path = tmp_path / "run.checkpoint"
    with pytest.raises(TrainingError, match="can't be read"):
        fit(small_network(), data, SETTINGS, files=TrainingFiles(resume=path))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(TrainingError, match="no checkpoint of a training, or cut short") as caught:
        fit(small_network(), data, SETTINGS, files=TrainingFiles(resume=path))
    assert "\n" not in str(caught.value)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(TrainingError, match="no checkpoint that this speckflex can continue"):
        fit(small_network(), data, SETTINGS, files=TrainingFiles(resume=path))
    fit(small_network(), data, SETTINGS, files=TrainingFiles(path))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(TrainingError, match="cut short"):
        fit(small_network(), data, SETTINGS, files=TrainingFiles(resume=path))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return the contents of a checkpoint after two of three epochs."""
    path = tmp_path_factory.mktemp("run") / "run.checkpoint"
    data = TrainingData(recordings(8, 1), recordings(4, 2))

    def stop(progress):
        if progress.epoch == 3:
            raise KilledError

    with pytest.raises(KilledError):
        fit(small_network(), data, SETTINGS, files=TrainingFiles(path), watch=stop)
    return torch.load(path, weights_only=True)


def set_in(*places):
    """Return a change of a checkpoint: the last of `places` is what stands under the others."""

    def change(state):
        for place in places[:-2]:
            state = state[place]
        state[places[-2]] = places[-1]

    return change


LIES = {
    "no best network": (lambda state: state.pop("best_network"), "best_network"),
    "a best network of another shape": (
        set_in("best_network", "network.linear2.weight", torch.zeros(2, 3)),
        "shape",
    ),
    "weights of another type": (
        set_in("network", "network.linear2.weight", torch.zeros(2, 36, dtype=torch.int64)),
        "dtype",
    ),
    "a number for a weight": (set_in("network", "network.linear2.weight", 5), "is a int"),
    "a list for the networks": (set_in("network", [1]), "complete"),
    "no text for a name": (set_in("network", 7, torch.zeros(2)), "complete"),
    "a moment of another shape": (
        set_in("optimiser", "state", 0, "exp_avg", torch.zeros(9, 9)),
        "exp_avg of shape",
    ),
    "a text for a moment": (set_in("optimiser", "state", 0, "exp_avg", "x"), "complete"),
    "steps below none": (
        set_in("optimiser", "state", 0, "step", torch.tensor(-1.0)),
        "number of steps",
    ),
    "moments of a weight that is none": (set_in("optimiser", "state", 99, {}), "complete"),
    "a rate that is no number": (set_in("optimiser", "param_groups", 0, "lr", "x"), "complete"),
    "no group": (set_in("optimiser", "param_groups", []), "complete"),
    "a schedule without a place": (lambda state: state["schedule"].clear(), "complete"),
    "a schedule at no place": (set_in("schedule", "last_epoch", -3), "number of steps"),
    "an order of no generator": (set_in("order_generator", "[" * 10**5), "complete"),
    "a huge order": (
        set_in("order_generator", '{"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}}'),
        "complete",
    ),
    "a generator cut short": (
        set_in("step_generator", torch.zeros(3, dtype=torch.uint8)),
        "complete",
    ),
    "a global generator of floats": (set_in("torch_generator", torch.zeros(5056)), "complete"),
    "an epoch without a loss": (lambda state: state["history"][0].pop("loss"), "complete"),
    "an epoch whose loss is a text": (set_in("history", 0, "loss", "x"), "loss of type str"),
    "an epoch twice": (set_in("history", 1, "epoch", 1), "not in a row"),
    "settings that are a text": (set_in("settings", "x"), "complete"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_checkpoint_with_other_contents_is_refused_in_one_line(checkpoint, tmp_path, lie):
    change, reason = LIES[lie]
    state = copy.deepcopy(checkpoint)
    change(state)
    torch.save(state, tmp_path / "run.checkpoint")
    data = TrainingData(recordings(8, 1), recordings(4, 2))
    with pytest.raises(TrainingError, match=reason) as caught:
        fit(
            small_network(),
            data,
            SETTINGS,
            files=TrainingFiles(resume=tmp_path / "run.checkpoint"),
        )
    assert str(caught.value).startswith(str(tmp_path))


def test_attributes_that_a_checkpoint_gives_to_a_schedule_are_left_out(checkpoint, tmp_path):
    state = copy.deepcopy(checkpoint)
    state["schedule"] |= {"step": "no function", "T_max": 0, "optimizer": None}
    state["optimiser"]["param_groups"][0]["betas"] = None
    data = TrainingData(recordings(8, 1), recordings(4, 2))
    weights = []
    for name, content in (("plain", checkpoint), ("changed", state)):
        torch.save(content, tmp_path / name)
        result = fit(small_network(), data, SETTINGS, files=TrainingFiles(resume=tmp_path / name))
        weights.append(result.network)
    assert_equal_weights(*weights)


def test_a_checkpoint_that_cannot_be_written_is_said_in_one_line(data, tmp_path):
    files = TrainingFiles(tmp_path / "no such folder" / "run.checkpoint")
    with pytest.raises(TrainingError, match="can't be written"):
        fit(small_network(), data, SETTINGS, files=files)


def test_a_loss_that_is_no_number_names_the_batch_and_the_layer(data):
    network = small_network()
    with torch.no_grad():
        network.linear2.weight[0, 0] = math.nan
    with pytest.raises(TrainingError, match=r"epoch 1, batch 1; .* layer linear2: lower"):
        fit(network, data, SETTINGS)
    with torch.no_grad():
        network.conv1.weight[0, 0, 0, 0] = math.inf
    with pytest.raises(TrainingError, match="layer conv1"):
        fit(network, data, SETTINGS)


def test_interrupting_keeps_the_best_network_so_far(data, tmp_path):
    def interrupt(progress):
        if progress.epoch == 3:
            raise KeyboardInterrupt

    files = TrainingFiles(tmp_path / "run.checkpoint")
    result = fit(small_network(), data, SETTINGS, files=files, watch=interrupt)
    assert result.interrupted
    assert len(result.history) == 2
    assert files.checkpoint.exists()
    with pytest.raises(TrainingError, match="interrupted in epoch 1 of 3"):
        fit(small_network(), data, SETTINGS, watch=_interrupt_at_once)


def _interrupt_at_once(progress):
    raise KeyboardInterrupt


def test_training_stops_when_validation_no_longer_improves(data):
    settings = TrainingSettings(t_max=4, epochs=30, batch_size=42, learning_rate=1e-30, patience=2)
    result = fit(small_network(), data, settings)
    assert len(result.history) == result.best.epoch + 2 < 30


def test_the_cosine_is_exactly_as_long_as_the_training(data):
    settings = TrainingSettings(t_max=4, epochs=3, batch_size=8, learning_rate=0.01)
    rates = [metrics.learning_rate for metrics in fit(small_network(), data, settings).history]
    steps = 3 * math.ceil(42 / 8)
    expected = [0.005 * (1 + math.cos(math.pi * step / steps)) for step in (5, 11, 17)]
    assert rates == pytest.approx(expected)


def test_progress_counts_every_step(data):
    seen = []
    fit(small_network(), data, SETTINGS, watch=seen.append)
    assert [state.step for state in seen] == list(range(1, 19))
    assert {state.n_steps for state in seen} == {18}
    assert seen[0].validation_accuracy is None
    assert seen[-1].validation_accuracy is not None


def test_mixed_passes_add_up_the_gradients_of_each_configuration(data):
    """One SGD step of MTT moves the weights by the sum of the passes' gradients."""
    settings = TrainingSettings(
        method="mtt",
        t_max=4,
        epochs=1,
        batch_size=42,
        optimiser="sgd",
        learning_rate=0.5,
        sampler="fixed-first",
    )
    network = small_network()
    trained = fit(network, data, settings).network
    mixed = MixedTimestepNetwork(network)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        timesteps = (4, *torch.randint(1, 5, (mixed.n_stages - 1,), generator=generator).tolist())
        scores = mixed(data.training.frames.float(), timesteps).mean(dim=1)
        nn.functional.cross_entropy(scores, data.training.labels).backward()
    weights = [
        (before, trained.get_parameter(name))
        for name, before in network.named_parameters()
        if before.requires_grad
    ]
    assert len(weights) == 2
    for before, after in weights:
        expected = before - 0.5 * before.grad
        assert torch.allclose(after, expected, atol=1e-6)


def test_no_state_is_carried_from_batch_to_batch(data):
    """Evaluation of a recording does not depend on what ran before it."""
    mixed = MixedTimestepNetwork(fit(small_network(), data, SETTINGS).network)
    whole = evaluate(mixed, data.validation)
    singles = [
        evaluate(
            mixed, FrameSet(data.validation.frames[i : i + 1], data.validation.labels[i : i + 1])
        )
        for i in range(len(data.validation))
    ]
    assert sum(single.loss for single in singles) / len(singles) == pytest.approx(whole.loss)


def test_a_network_without_a_neuron_or_without_free_weights_is_refused(data):
    with pytest.raises(NetworkError, match="no spiking neuron"):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(36, 2)), data, SETTINGS)
    with pytest.raises(TrainingError, match="no weight to train"):
        fit(small_network().requires_grad_(False), data, SETTINGS)


def test_recalibrated_statistics_are_the_mean_over_the_batches(rng):
    network = nn.Sequential(nn.BatchNorm2d(3))
    batches = [torch.from_numpy(rng.normal(size=(4, 3, 5, 5))).float() for _ in range(3)]
    recalibrate_batch_norm(network, batches)
    means = torch.stack([batch.mean(dim=(0, 2, 3)) for batch in batches])
    variances = torch.stack([batch.var(dim=(0, 2, 3)) for batch in batches])
    assert torch.allclose(network[0].running_mean, means.mean(dim=0), atol=1e-6)
    assert torch.allclose(network[0].running_var, variances.mean(dim=0), atol=1e-6)
    assert network[0].momentum == 0.1
    assert network.training


def test_recalibration_fixes_the_weights_and_uses_ten_batches_by_default(data):
    network = small_network(batch_norm=True)
    weights = [parameter.clone() for parameter in network.parameters()]
    batches = torch.rand(3, 8, 1, 6, 6)
    network.spike1.batch_size = 8
    recalibrate_batch_norm(network, batches)
    means = network.conv1(batches.flatten(0, 1)).mean(dim=(0, 2, 3))
    torch.testing.assert_close(network.norm1.running_mean, means)
    assert TrainingSettings().calibration_batches == 10
    for before, after in zip(weights, network.parameters(), strict=True):
        assert torch.equal(before, after)


def test_mixed_training_with_batch_norm_recalibrates_at_t_max(data):
    settings = TrainingSettings(method="mtt", t_max=4, epochs=1, batch_size=42)
    network = train_network(small_network(batch_norm=True), data, settings).network
    inputs = network.conv1(data.training.frames.float().flatten(0, 1))
    assert torch.allclose(network.norm1.running_mean, inputs.mean(dim=(0, 2, 3)), atol=1e-5)


def test_statistics_are_measured_on_as_many_batches_as_the_settings_say(data):
    settings = TrainingSettings(method="nmt", t_max=4, epochs=1, batch_size=7, learning_rate=1e-9)
    found = {}
    for number in (0, 1, 10):
        chosen = replace(settings, calibration_batches=number)
        network = train_network(small_network(batch_norm=True), data, chosen).network
        # torch counts the batches that its statistics have seen
        found[number] = int(network.norm1.num_batches_tracked)
    n_steps = -(-len(data.training) // 7)
    assert found == {0: 3 * n_steps, 1: 1, 10: min(10, n_steps)}


def test_locked_batch_norm_keeps_statistics_and_biases():
    network = small_network(batch_norm=True)
    lock_batch_norm(network.train())
    network(torch.rand(4, 1, 6, 6)).sum().backward()
    assert not network.norm1.running_mean.any()
    assert network.norm1.bias.grad is None
    assert network.norm1.weight.grad is not None


def test_fine_tuning_locks_batch_norm_and_merges_it_into_bias_free_weights(data):
    network = small_network(batch_norm=True)
    with torch.no_grad():
        network.norm1.running_var.fill_(2.0)
    result = finetune_network(network, data, SETTINGS)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in result.network.modules())
    again = evaluate(MixedTimestepNetwork(result.network), data.validation)
    assert again.loss == pytest.approx(result.best.validation_loss, rel=1e-4)


def test_fine_tuning_refuses_a_network_that_adds_constants(data):
    with pytest.raises(TrainingError, match="layer conv1 adds a constant"):
        finetune_network(small_network(bias=True), data, SETTINGS)
    network = small_network(batch_norm=True)
    network.norm1.running_mean.fill_(0.5)
    with pytest.raises(TrainingError, match="layer norm1 adds a constant"):
        finetune_network(network, data, SETTINGS)


def test_merging_leaves_the_outputs_as_they_were(rng):
    network = small_network(batch_norm=True).eval()
    with torch.no_grad():
        network.norm1.running_var.uniform_(0.5, 2.0)
    frames = torch.from_numpy(rng.integers(0, 3, (2, 4, 1, 6, 6))).float()
    before = MixedTimestepNetwork(network)(frames)
    after = MixedTimestepNetwork(merge_network(network))(frames)
    assert torch.allclose(before, after, atol=1e-5)


def test_new_networks_are_drawn_from_their_seed_alone():
    state = torch.get_rng_state()
    first, again, other = (new_network("nmnist-3c1fc", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert_equal_weights(first, again)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def assert_equal_weights(first, second):
    assert_equal_states(first.state_dict(), second.state_dict())


def assert_equal_states(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_voting_neuron_spikes_once_for_each_threshold_of_the_potential(rng):
    network = small_network()
    frames = torch.from_numpy(rng.integers(0, 4, (3, 4, 1, 6, 6))).float()
    potentials = MixedTimestepNetwork(network)(frames).sum(dim=1)
    voting = add_voting_neuron(network, threshold=0.01)
    spikes = MixedTimestepNetwork(voting)(frames).sum(dim=1)
    reached = MixedTimestepNetwork(network)(frames).cumsum(dim=1).amax(dim=1).clamp(min=0)
    assert torch.allclose(spikes, torch.floor(reached / 0.01), atol=1)
    assert torch.equal(spikes.argmax(dim=1), potentials.argmax(dim=1))
    assert len(network) == len(voting) - 1


def test_only_a_network_read_by_potential_takes_a_voting_neuron():
    voting = add_voting_neuron(small_network())
    with pytest.raises(TrainingError, match="is not read by potential"):
        add_voting_neuron(voting)


def test_the_lower_bound_of_a_neuron_is_a_number_below_zero():
    assert float(bounded_neuron("single-spike", -8.0)().min_v_mem) == -8.0
    for bound in (0.0, math.nan, -math.inf):
        with pytest.raises(TrainingError, match="must be a number below 0"):
            bounded_neuron("multi-spike", bound)


def test_the_total_output_is_the_mean_at_t_max(data):
    mean, total = (
        fit(small_network(), data, TrainingSettings(t_max=4, epochs=1, output=output))
        for output in ("mean", "total")
    )
    assert_equal_weights(mean.network, total.network)


def test_the_last_epoch_is_kept_where_it_is_asked_for(data):
    settings = TrainingSettings(t_max=4, epochs=6, batch_size=8, learning_rate=0.3, keep="last")
    result = fit(small_network(), data, settings)
    assert result.best == result.history[-1]
    again = evaluate(MixedTimestepNetwork(result.network), data.validation)
    assert again.loss == pytest.approx(result.history[-1].validation_loss)
