"""Training with a board in the loop: its spikes, its program, its gradient."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from halves import halves, network
from sinabs.layers import IAFSqueeze
from torch import nn

import speckflex as sf
from speckflex.analysis.synops import measure_synops
from speckflex.boards.twin import Twin
from speckflex.errors import BoardNotFoundError, TrainingError
from speckflex.events.frames import to_frames
from speckflex.events.streams import hash_events, make_events
from speckflex.kernels.bin_events import bin_events
from speckflex.networks.paper import NETWORKS
from speckflex.training import (
    TrainingData,
    TrainingFiles,
    TrainingSettings,
    cache_frames,
    finetune_network,
    train_network,
)
from speckflex.training._synops import counted_synops, synops_loss
from speckflex.training.gain import measure_gain, paired_gain
from speckflex.training.metrics import EpochMetrics
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.on_board import board_loop, board_step
from speckflex.training.on_board import recorded_neurons as recording_neurons
from speckflex.training.on_board.load import busiest_loads
from speckflex.training.on_board.playing import play_batch
from speckflex.training.on_board.recorded_neurons import (
    gradient_in_torch,
    potentials_in_torch,
    recorded_neurons,
)
from speckflex.training.on_board.requantise import (
    check_requantises,
    program_weights,
    with_weights,
)
from speckflex.training.on_board.variation import Variation
from speckflex.training.pipeline import bounded_neuron
from speckflex.twin.output_order import ORDERS

SETTINGS = TrainingSettings(
    method="board", t_max=5, epochs=3, batch_size=8, learning_rate=0.05, seed=3, augment="shift:1"
)


@pytest.fixture
def data():
    return TrainingData(cache_frames(halves(40, 1), 5), cache_frames(halves(11, 2), 5))


def streams_of(dataset):
    return [events for events, _ in dataset]


# ---- the program with other weights --------------------------------------------------


def paper_network(name, **options):
    return NETWORKS[name](width=8, **options)


def odd_network():
    """Layers whose scales come from the negative weights, from the bound, and from a 3 x 3 pool."""
    neuron = {"batch_size": 1, "spike_threshold": torch.tensor(0.7)}
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False),
        IAFSqueeze(**neuron, min_v_mem=torch.tensor(-400.0)),
        nn.AvgPool2d(3),
        nn.Conv2d(3, 5, 1, bias=False),
        IAFSqueeze(**neuron, min_v_mem=torch.tensor(-0.3)),
        nn.Flatten(),
        nn.Linear(45, 4, bias=False),
        IAFSqueeze(**neuron, min_v_mem=torch.tensor(-0.7)),
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: paper_network("nmnist-3c1fc"), (2, 34, 34)),
        (lambda: paper_network("nmnist-3c1fc", neuron=bounded_neuron("multi-spike", -8.0)), None),
        (lambda: paper_network("nmnist-3c1fc", voting="potential"), (2, 34, 34)),
        (lambda: paper_network("gesture-4c2fc", batch_norm=False), (2, 128, 128)),
        (odd_network, (2, 36, 36)),
    ],
)
def test_new_weights_give_the_program_that_a_conversion_gives(build, shape, seed):
    shape = shape or (2, 34, 34)
    trained = build()
    program = sf.convert(trained, shape, chip="unbounded")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter.requires_grad and parameter.ndim > 1:
                skew = torch.rand(1, generator=generator) - 0.5
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.3 * (noise + skew))
    again = with_weights(program, trained)
    converted = sf.convert(trained, shape, chip="unbounded")
    assert again.sha256 == converted.sha256 != program.sha256
    assert [core.scale for core in again.cores] == [core.scale for core in converted.cores]


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(1, 4, 3, padding=1, dilation=2, bias=False),
        nn.Conv2d(1, 4, (3, 1), padding=(1, 0), bias=False),
    ],
)
def test_layers_that_the_chip_gets_in_another_form_are_refused(data, conv):
    changed = nn.Sequential(
        conv,
        IAFSqueeze(batch_size=1, min_v_mem=torch.tensor(-1.0)),
        nn.Flatten(),
        nn.LazyLinear(2, bias=False),
        IAFSqueeze(batch_size=1, min_v_mem=torch.tensor(-1.0)),
    )
    changed(torch.zeros(1, 1, 6, 6))
    with pytest.raises(TrainingError, match="layer 0: its weights are rearranged for the chip"):
        finetune_network(changed, data, SETTINGS)


def test_the_network_runs_on_the_integers_of_the_program():
    trained = network()
    program = sf.convert(trained, (1, 6, 6), chip="unbounded")
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    frames = torch.randint(0, 3, (2, 1, 6, 6)).float()
    core = program.cores[0]
    sums = nn.functional.conv2d(frames, torch.tensor(core.weights).float(), padding=1)
    with program_weights(program, trained):
        # a sum that reaches the integer threshold is one threshold, which is 1 in the network
        found = trained.conv1(frames)
    # nine products in another order: float32 cancels to about 1e-6 where a sum is near 0
    assert torch.allclose(found, sums / core.threshold_high, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


# ---- what a board plays --------------------------------------------------------------


@pytest.mark.parametrize("n_bins", [1, 3, 7, 100])
def test_binned_events_are_the_frames_of_the_recording(rng, n_bins):
    events = make_events(
        np.sort(rng.integers(0, 5_000, 300)) + 17, *rng.integers(0, [[5], [4], [2]], (3, 300))
    )
    first, last = int(events["t"][0]), int(events["t"][-1])
    frames = np.zeros((n_bins, 2, 4, 5), np.float32)
    bin_events(events, first, max((last - first) // n_bins, 1), frames)
    assert np.array_equal(frames, to_frames(events, (2, 4, 5), n_bins))


def test_spikes_before_and_after_the_recording_count_in_its_first_and_last_frame():
    events = make_events(np.array([5, 10, 39, 1000]), *np.zeros((3, 4), int))
    frames = np.zeros((3, 1, 1, 1), np.int64)
    bin_events(events, 10, 10, frames)
    assert frames.ravel().tolist() == [2, 0, 2]


def test_a_played_batch_holds_every_spike_of_every_layer():
    dataset = halves(6, 4)
    program = sf.convert(network(), dataset.shape, chip="unbounded")
    with sf.open_board("twin") as board:
        board.load(program)
        recording = board.play(streams_of(dataset))
        batch = play_batch(board, streams_of(dataset), dataset.shape, 4)
    assert torch.equal(batch.scores, torch.from_numpy(recording.layer(-1).scores))
    for index, spikes in enumerate(batch.spikes):
        assert torch.equal(spikes.sum(1).long(), torch.from_numpy(recording.counts(index)))
    assert recording.counts(0).sum() > 100


@pytest.mark.parametrize("spiking_output", [True, False])
@pytest.mark.parametrize("vary", ["", "order,drop=0.3"])
def test_loss_and_accuracy_are_those_of_the_board(data, monkeypatch, spiking_output, vary):
    """The scores of each step are what the board returned for a freshly converted program."""
    steps, plays = [], []
    real_play, real_add = Twin.play, board_step.add_gradient
    real_loop = board_loop.BoardLoop.play

    def play(self, events, **options):
        plays.append(real_play(self, events, **options))
        return plays[-1]

    def play_step(self, trained, *rest):
        converted = sf.convert(trained, (1, 6, 6), chip="unbounded")
        program, batch = real_loop(self, trained, *rest)
        assert plays[-1].provenance.program_sha256 == program.sha256 == converted.sha256
        return program, batch

    def add_gradient(run, batch, scores, *penalty):
        outcome = real_add(run, batch, scores, *penalty)
        steps.append((scores.detach().numpy(), batch.labels.numpy(), outcome, plays[-1]))
        return outcome

    monkeypatch.setattr(Twin, "play", play)
    monkeypatch.setattr(board_loop.BoardLoop, "play", play_step)
    monkeypatch.setattr(board_step, "add_gradient", add_gradient)
    settings = replace(SETTINGS, epochs=1, vary=vary, chosen_by="torch")
    result = finetune_network(network(spiking_output=spiking_output), data, settings)
    assert len(steps) == 5
    for scores, labels, outcome, recording in steps:
        counts = recording.layer(-1).scores
        if spiking_output:
            assert np.allclose(scores, counts * board_step.SCORE_OF_SPIKE)
            assert np.array_equal(counts, recording.counts(-1)[..., 0, 0])
        assert np.array_equal(scores.argmax(1), recording.predictions())
        assert outcome.correct == (recording.answers() == labels).sum()
    right = sum(outcome.correct for _, _, outcome, _ in steps)
    assert result.history[0].accuracy == right / 40


# ---- the gradient --------------------------------------------------------------------


@pytest.mark.parametrize("to_zero", [False, True])
@pytest.mark.parametrize("surrogate", ["kernel", "function"])
@pytest.mark.parametrize("computed", ["by kernels", "as on a GPU"])
def test_the_gradient_is_that_of_the_recorded_potentials(to_zero, surrogate, computed, monkeypatch):
    """Against autograd through a plain loop, with spikes whose derivative is the surrogate's."""
    if computed == "as on a GPU":
        monkeypatch.setattr(recording_neurons, "_potentials", potentials_in_torch)
        monkeypatch.setattr(recording_neurons, "_gradient", gradient_in_torch)
    trained = network()
    if surrogate == "function":
        trained.spike1.surrogate_grad_fn = lambda v, threshold: 1 / (1 + (v - threshold) ** 2)
    program = sf.convert(trained, (1, 6, 6), chip="unbounded")
    program = replace(
        program, cores=tuple(replace(c, return_to_zero=to_zero) for c in program.cores)
    )
    generator = torch.Generator().manual_seed(1)
    recorded = torch.randint(0, 3, (2, 5, 4, 6, 6), generator=generator).float()
    last = torch.zeros(2, 5, 2, 1, 1)
    current = torch.randn(2, 5, 4, 6, 6, generator=generator).flatten(0, 1).requires_grad_()
    by_spikes = torch.randn(10, 4, 6, 6, generator=generator)
    with recorded_neurons(trained, program, [recorded, last]):
        sent = trained.spike1(current)
        sent.backward(by_spikes)
    assert torch.equal(sent, recorded.flatten(0, 1))

    core = program.cores[0]
    low, slope = core.threshold_low / core.threshold_high, trained.spike1.surrogate_grad_fn
    again = current.detach().clone().requires_grad_()
    v, total = torch.zeros(2, 4, 6, 6), torch.zeros(())
    for t in range(5):
        u = v + again.unflatten(0, (2, 5))[:, t]
        s = recorded[:, t]
        # linear in u with the slope ds/du, which is what a surrogate gradient means
        total = total + (by_spikes.unflatten(0, (2, 5))[:, t] * slope(u.detach(), 1.0) * u).sum()
        v = torch.where(s > 0, torch.zeros(()), u) if to_zero else u - s
        v = torch.where(v > low, v, torch.tensor(low))
    total.backward()
    assert torch.allclose(current.grad, again.grad, atol=1e-5)
    assert float(current.grad.abs().max()) > 0.1


# ---- the training --------------------------------------------------------------------


def test_the_board_learns_and_the_result_is_what_deploying_it_gives(data):
    result = finetune_network(network(), data, replace(SETTINGS, epochs=6))
    assert result.history[-1].loss < 0.7 * result.history[0].loss
    program = sf.convert(result.network, (1, 6, 6), chip="unbounded")
    recordings = halves(11, 2)
    with sf.open_board("twin") as board:
        board.load(program)
        played = board.play(streams_of(recordings)).with_labels(recordings.labels)
    assert result.best.board_accuracy == pytest.approx(played.accuracy())
    assert result.best.board_accuracy == 1.0
    assert result.best.board_accuracy == max(m.board_accuracy for m in result.history)


def test_the_twin_may_choose_the_epoch_of_a_training_on_a_board(data):
    settings = replace(SETTINGS, epochs=2)
    by_board = finetune_network(network(), data, settings)
    by_twin = finetune_network(network(), data, replace(settings, chosen_by="twin"))
    accuracies = [metrics.board_accuracy for metrics in by_board.history]
    assert [metrics.twin_accuracy for metrics in by_twin.history] == accuracies
    assert {metrics.board_accuracy for metrics in by_twin.history} == {None}


@pytest.mark.parametrize("method", ["board", "sdt"])
def test_recordings_without_events_are_refused(method, data):
    rests = replace(halves(10, 1), read=lambda _item: make_events([], [], [], []))
    empty = TrainingData(cache_frames(rests, 5), data.validation)
    with pytest.raises(TrainingError, match="none of the 10 recordings that train holds an event"):
        finetune_network(network(), empty, TrainingSettings(method=method, t_max=5))


@pytest.mark.parametrize("vary", ["", "order,jitter=500,drop=0.2"])
def test_an_interrupted_training_resumes_to_the_same_bits(data, tmp_path, vary):
    settings = replace(SETTINGS, vary=vary)
    whole = finetune_network(network(), data, settings)
    files = TrainingFiles(checkpoint=tmp_path / "run.checkpoint")

    def stop(progress):
        if progress.step == 8:
            raise KeyboardInterrupt

    broken = finetune_network(network(), data, settings, files=files, watch=stop)
    assert broken.interrupted
    resume = TrainingFiles(resume=files.checkpoint)
    resumed = finetune_network(network(), data, settings, files=resume)
    losses = [metrics.loss for metrics in whole.history]
    assert [metrics.loss for metrics in resumed.history] == losses
    for ours, theirs in zip(resumed.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_virtual_devkit_trains_the_same_network_as_the_twin(data):
    few = TrainingData(data.training.select(np.arange(12)), data.validation)
    settings = replace(SETTINGS, epochs=1)
    by_twin = finetune_network(network(), few, settings)
    by_devkit = finetune_network(network(), few, replace(settings, board="virtual:speck2e"))
    assert by_devkit.history[0].loss == by_twin.history[0].loss
    for ours, theirs in zip(
        by_devkit.network.parameters(), by_twin.network.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_batch_norms_are_merged_before_the_training(data):
    plain = network()
    norm = nn.BatchNorm2d(4)
    norm.running_var.fill_(0.25)
    normed = nn.Sequential(plain[0], norm, *plain[1:])
    merged = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), *network()[1:])
    with torch.no_grad():
        merged[0].weight.copy_(plain[0].weight / (0.25 + norm.eps) ** 0.5)
    settings = replace(SETTINGS, epochs=1)
    ours, theirs = (finetune_network(n, data, settings) for n in (normed, merged))
    assert ours.history[0].loss == pytest.approx(theirs.history[0].loss)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in ours.network.modules())


# ---- variations ----------------------------------------------------------------------


def test_variations_change_order_times_and_numbers_of_events(rng):
    events = halves(1, 0)[0][0]
    unchanged = Variation.parse("")
    assert unchanged.change(events, rng) is events
    assert unchanged.draw_order(rng) is None
    variation = Variation.parse("order, jitter=300 ,drop=0.5")
    assert {variation.draw_order(rng) for _ in range(1000)} == set(ORDERS)
    lengths = [len(variation.change(events, rng)) for _ in range(400)]
    # a share between 0 and 0.5, drawn for each play: 0.25 in the mean, sometimes almost none
    assert np.mean(lengths) == pytest.approx(0.75 * 60, abs=1.5)
    assert max(lengths) >= 58
    moved = Variation.parse("jitter").change(events, rng)
    assert np.array_equal(moved["t"], events["t"])
    assert not np.array_equal(moved["x"], events["x"])


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("wobble", "variation 'wobble' is not known: choose among order"),
        ("order=3", "variation 'order=3' is not known"),
        ("drop=1.5", r"variation drop=1.5: give a share above 0 and below 1"),
        ("jitter=-3", "variation jitter=-3: give a time above 0 and below 1e9 µs"),
        ("jitter=1e300", "variation jitter=1e300: give a time above 0"),
        ("jitter=much", "variation jitter=much: give a time"),
        ("drop=nan", "variation drop=nan: give a share"),
    ],
)
def test_variations_that_make_no_sense_are_refused(vary, message):
    with pytest.raises(TrainingError, match=message):
        replace(SETTINGS, vary=vary)


# ---- the load of the cores -----------------------------------------------------------


def played_in_frames(trained):
    """The program of a network, and what three recordings do on it: frames and operations."""
    dataset = halves(3, 7)
    program = sf.convert(trained, dataset.shape, chip="unbounded")
    with sf.open_board("twin") as board:
        board.load(program)
        batch = play_batch(board, streams_of(dataset), dataset.shape, 4)
        played = board.play(streams_of(dataset))
    return program, batch, measure_synops(program, played, streams_of(dataset))


def test_loads_are_the_operations_of_the_busiest_frame():
    """Counted by convolutions of ones: each event updates the neurons that its ones reach."""
    trained = network()
    program, batch, _ = played_in_frames(trained)
    mixed = MixedTimestepNetwork(trained)
    with (
        recorded_neurons(trained, program, batch.spikes),
        busiest_loads(trained, program, batch.widths) as loads,
    ):
        mixed(batch.frames)
    seconds = batch.widths / 1e6
    inputs = batch.frames.flatten(0, 1)
    first = nn.functional.conv2d(inputs, torch.ones(4, 1, 3, 3), padding=1)
    second = 2 * batch.spikes[0]  # each spike reaches both classes
    rate = program.chip_record.synops_per_second
    for load, operations in zip(loads, (first, second), strict=True):
        busiest = operations.reshape(3, 4, -1).sum(2).max(1).values
        assert torch.allclose(load, (busiest / seconds / rate).float(), rtol=1e-5)


def test_the_operations_of_recorded_spikes_are_those_of_the_program():
    trained = network()
    program, batch, cores = played_in_frames(trained)
    with recorded_neurons(trained, program, batch.spikes), counted_synops(trained) as synops:
        MixedTimestepNetwork(trained)(batch.frames)
    assert [round(count.item()) for count in synops] == [core.total for core in cores]


def test_a_cost_of_operations_lowers_them_on_the_board(data):
    totals = []
    for weight in (0.0, 3e3):
        settings = replace(SETTINGS, epochs=2, synops_weight=weight, keep="last")
        tuned = finetune_network(network(), data, settings).network
        program = sf.convert(tuned, (1, 6, 6), chip="unbounded")
        events = streams_of(halves(11, 2))
        with sf.open_board("twin") as board:
            board.load(program)
            cores = measure_synops(program, board.play(events), events)
        totals.append(cores[1].total)
    assert totals[1] < 0.7 * totals[0]


def fan_out(y: int, x: int) -> int:
    """Return how many neurons of `conv1` a pixel reaches: 3 x 3 places around it, 4 channels."""
    inside = [place for place in (-1, 0, 1) if 0 <= y + place < 6]
    return 4 * len(inside) * len([place for place in (-1, 0, 1) if 0 <= x + place < 6])


def test_without_a_weight_operations_cost_in_those_of_the_first_layer():
    """One step is that of the weight whose loss for the first layer's operations is 0.01."""
    recordings = halves(40, 1)
    data = TrainingData(cache_frames(recordings, 5), cache_frames(halves(11, 2), 5))
    first = sum(fan_out(int(e["y"]), int(e["x"])) for events, _ in recordings for e in events) / 40
    settings = replace(SETTINGS, epochs=1, batch_size=40, augment="", optimiser="sgd", keep="last")
    tuned = [
        finetune_network(network(), data, replace(settings, synops_weight=weight)).network
        for weight in (None, 0.01 * 1e6 / first, 0.0)
    ]
    moved = [each.get_parameter("conv1.weight") for each in tuned]
    assert torch.allclose(moved[0], moved[1], atol=1e-6)
    assert not torch.allclose(moved[0], moved[2], atol=1e-5)


def test_a_checkpoint_without_a_price_is_not_continued_with_one(data, tmp_path):
    settings = replace(SETTINGS, epochs=1)
    checkpoint = tmp_path / "run.checkpoint"
    files = TrainingFiles(checkpoint)
    finetune_network(network(), data, replace(settings, synops_weight=0.0), files=files)
    files = TrainingFiles(tmp_path / "other.checkpoint", resume=checkpoint)
    with pytest.raises(TrainingError, match=r"with synops weight 0\.0, now it is relative"):
        finetune_network(network(), data, settings, files=files)


def test_a_batch_without_events_costs_nothing():
    assert synops_loss([torch.zeros(()), torch.zeros(())], None, 3) == 0.0


def busy_network():
    """A network whose second layer has more to do than the input gives the first one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bound = torch.tensor(-1.0)
        layers = [nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.Conv2d(4, 16, 3, bias=False)]
        last = nn.Linear(256, 2, bias=False)
    with torch.no_grad():
        for layer, gain in zip((*layers, last), (4.0, 2.0, 2.0), strict=True):
            layer.weight *= gain
    neurons = [IAFSqueeze(batch_size=1, min_v_mem=bound.clone()) for _ in range(3)]
    return nn.Sequential(
        layers[0], neurons[0], layers[1], neurons[1], nn.Flatten(), last, neurons[2]
    )


def test_a_limit_lowers_the_load_and_chooses_an_epoch_within_it(data, monkeypatch):
    # the recordings are so short that a core has little to do; so the loss weighs it more
    monkeypatch.setattr(board_step, "LOSS_OF_LOAD", 100.0)
    settings = replace(SETTINGS, epochs=5, learning_rate=0.02)
    free = finetune_network(busy_network(), data, replace(settings, max_load=1e6))
    limit = 0.6 * free.history[-1].peak_load
    held = finetune_network(busy_network(), data, replace(settings, max_load=limit))
    assert held.history[-1].peak_load < 0.8 * free.history[-1].peak_load
    assert all(metrics.keeps_up for metrics in free.history)
    assert [m.keeps_up for m in held.history] == [m.peak_load <= limit for m in held.history]
    program = sf.convert(held.network, (1, 6, 6), chip="unbounded")
    events = streams_of(halves(11, 2))
    with sf.open_board("twin") as board:
        board.load(program)
        cores = measure_synops(program, board.play(events), events)
    assert held.best.peak_load == pytest.approx(max(core.load for core in cores))


def test_a_load_that_the_input_alone_exceeds_is_refused(data):
    with pytest.raises(TrainingError, match=r"layer conv1: the input events alone .* of 0\.\d\d"):
        finetune_network(network(), data, replace(SETTINGS, max_load=0.001))


def test_an_epoch_within_the_load_is_better_than_one_with_more_accuracy():
    epoch = EpochMetrics(1, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0, keeps_up=False)
    slower = replace(epoch, validation_accuracy=0.5, keeps_up=True)
    assert slower.is_better_than(epoch)
    assert not epoch.is_better_than(slower)


@pytest.mark.parametrize("load", [0.0, -1.0, float("nan"), float("inf")])
def test_loads_that_make_no_sense_are_refused(load):
    with pytest.raises(TrainingError, match="must be a share above 0 of what a core can do"):
        replace(SETTINGS, max_load=load)


# ---- what it won ---------------------------------------------------------------------


def test_a_gain_counts_the_recordings_that_changed_sides():
    """20 recordings: 12 right both times, 6 won, 1 lost, 1 wrong both times."""
    before = np.array([True] * 13 + [False] * 7)
    after = np.array([True] * 12 + [False] + [True] * 6 + [False])
    gain = paired_gain(before, after)
    assert (gain.recordings, gain.before, gain.after) == (20, 13 / 20, 18 / 20)
    # at most one of seven changes to one side: 1 + 7 of 128 outcomes, on either side
    assert gain.p_value == pytest.approx(16 / 128)
    # 5 of 22, and 1.96 of the standard error: the root of 8 less 25 / 22, as a share of 22
    assert gain.interval == pytest.approx((0.2273 - 0.2334, 0.2273 + 0.2334), abs=1e-4)
    assert paired_gain(before, before).p_value == 1.0


def test_a_gain_is_that_of_deployed_networks(data):
    before = network()
    after = finetune_network(before, data, replace(SETTINGS, epochs=6)).network
    recordings = halves(11, 2)
    right = []
    for trained in (before, after):
        with sf.open_board("twin") as board:
            board.load(sf.convert(trained, (1, 6, 6), chip="unbounded"))
            right.append(board.play(streams_of(recordings)).predictions() == recordings.labels)
    assert measure_gain(before, after, data.validation) == paired_gain(*right)
    assert right[1].sum() > right[0].sum()


# ---- a recorded session as the forward pass ------------------------------------------


ONE_STEP = {"epochs": 1, "augment": "", "chosen_by": "twin"}


def record(path, *, of, monitor=None, hashed=True, kept=None):
    """Play all recordings on the twin, last ones first, and save its answers as a chip's."""
    dataset = halves(40, 1)
    streams = [*streams_of(dataset), *streams_of(halves(11, 2))][::-1]
    with sf.open_board("twin", threads=1) as board:
        board.load(sf.convert(of, input_shape=dataset.shape, chip="unbounded"))
        played = board.play(streams, monitor=monitor)
    if hashed:
        logs = zip(played.samples, streams, strict=True)
        hashes = tuple(replace(log, input_sha256=hash_events(events)) for log, events in logs)
        played = replace(played, samples=hashes)
    layers = tuple(replace(layer, events=layer.events[:kept]) for layer in played.layers)
    replace(played, layers=layers).save(path)
    return f"replay:{path}"


def test_a_recorded_session_moves_the_weights_as_the_board_itself_does(data, tmp_path):
    session = record(tmp_path / "session.h5", of=network())
    # a session has no price of spikes
    settings = replace(SETTINGS, **ONE_STEP, batch_size=40, optimiser="sgd", synops_weight=0.0)
    live = finetune_network(network(), data, settings)
    replayed = finetune_network(network(), data, replace(settings, board=session))
    # the gradient of all recordings, although they do not fit into one batch
    in_parts = replace(settings, board=session, batch_size=9)
    parted = finetune_network(network(), data, in_parts)
    for name, weight in live.network.state_dict().items():
        assert torch.equal(replayed.network.state_dict()[name], weight), name
        assert torch.allclose(parted.network.state_dict()[name], weight, atol=1e-6), name
    assert not torch.equal(replayed.network.conv1.weight, network().conv1.weight)
    assert replayed.history[0].accuracy == live.history[0].accuracy
    assert parted.history[0].loss == pytest.approx(live.history[0].loss)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 2}, "one step, which the twin judges: epochs 2 must be 1"),
        ({"augment": "shift:1"}, "augment 'shift:1' must be ''"),
        ({"chosen_by": None}, "chosen by None must be 'twin'"),
        ({"vary": "drop"}, "vary 'drop' must be ''"),
        ({"max_load": 0.5}, "max load 0.5 must be None"),
    ],
)
def test_a_recorded_session_gives_one_step_only(data, tmp_path, changes, message):
    session = record(tmp_path / "session.h5", of=network())
    settings = replace(SETTINGS, **{**ONE_STEP, **changes}, board=session)
    with pytest.raises(TrainingError, match=message):
        finetune_network(network(), data, settings)


def test_a_recorded_session_must_be_of_this_network_and_these_recordings(data, tmp_path):
    session = record(tmp_path / "session.h5", of=network())
    settings = replace(SETTINGS, **ONE_STEP, board=session)
    with pytest.raises(TrainingError, match=r"session of program \w+, the network converts to"):
        finetune_network(network(seed=1), data, settings)
    others = TrainingData(cache_frames(halves(40, 5), 5), data.validation)
    with pytest.raises(TrainingError, match=r"60 events .* is none of the 51 of the session"):
        finetune_network(network(), others, settings)
    session = record(tmp_path / "last.h5", of=network(), monitor=[-1])
    with pytest.raises(TrainingError, match="returns no spikes of layer 0 of 2"):
        finetune_network(network(), data, replace(settings, board=session))
    session = record(tmp_path / "twin.h5", of=network(), hashed=False)
    with pytest.raises(TrainingError, match="does not say which events were played"):
        finetune_network(network(), data, replace(settings, board=session))
    session = record(tmp_path / "counts.h5", of=network(), kept=30)
    with pytest.raises(TrainingError, match=r"30 recordings and only counts .*--keep-spikes 51"):
        finetune_network(network(), data, replace(settings, board=session))
    with pytest.raises(BoardNotFoundError, match=r"none\.h5"):
        finetune_network(network(), data, replace(settings, board="replay:none.h5"))


# ---- what is refused -----------------------------------------------------------------


def test_settings_of_a_board_are_refused_with_other_methods():
    with pytest.raises(TrainingError, match="vary drop with method sdt: only method board"):
        TrainingSettings(vary="drop")
    with pytest.raises(TrainingError, match="chosen by board with method mtt"):
        TrainingSettings(method="mtt", chosen_by="board")
    with pytest.raises(TrainingError, match=r"max load 0\.8 with method nmt"):
        TrainingSettings(method="nmt", max_load=0.8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"board": "speck2e:0", "vary": "order"}, "its order of output can't be chosen"),
    ],
)
def test_boards_that_cannot_do_it_are_refused_by_name(data, changes, message):
    with pytest.raises(TrainingError, match=message) as caught:
        finetune_network(network(), data, replace(SETTINGS, **changes))
    assert changes["board"] in str(caught.value)


def test_a_board_without_all_layers_is_refused_by_name(data, monkeypatch):
    class HalfBlind(Twin):
        name = "half-blind:1"

        def play(self, events, **options):
            return super().play(events, **{**options, "monitor": [-1]})

    monkeypatch.setattr(board_loop, "open_board", lambda _name, **_settings: HalfBlind())
    with pytest.raises(TrainingError, match="returns no spikes of layer 0 of 2"):
        finetune_network(network(), data, SETTINGS)


def test_a_silent_layer_is_refused_with_its_remedy(data):
    with pytest.raises(TrainingError, match=r"layer conv1 sends no spike .*train the network"):
        finetune_network(network(gain=0.2), data, SETTINGS)


def test_fresh_weights_are_refused(data):
    with pytest.raises(TrainingError, match="method board begins with a trained network"):
        train_network(network(), data, SETTINGS)


def test_frames_without_their_events_are_refused(data):
    with pytest.raises(TrainingError, match="only frames of them are known"):
        finetune_network(
            network(),
            TrainingData(replace(data.training, events=None), data.validation),
            SETTINGS,
        )


def test_a_network_that_does_not_convert_is_refused(data):
    changed = network()
    changed.pool1 = nn.MaxPool2d(2)
    with pytest.raises(TrainingError, match="can't play the network because it does not convert"):
        finetune_network(changed, data, SETTINGS)


def test_a_check_of_the_program_names_a_layer_that_differs():
    trained = network()
    program = sf.convert(trained, (1, 6, 6), chip="unbounded")
    check_requantises(program, trained)
    with torch.no_grad():
        trained.linear2.weight[0, 0] += 5
    with pytest.raises(TrainingError, match="layer linear2"):
        check_requantises(program, trained)
