"""The search of time steps: measured accuracies, rates, the choice, and what is refused."""

from itertools import product

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sinabs.activation import SingleSpike
from sinabs.layers import IAFSqueeze
from torch import nn

from speckflex.cli import main
from speckflex.errors import TrainingError
from speckflex.training import FrameSet
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.timestep_page import search_page
from speckflex.training.timestep_search import SearchSettings, search_timesteps

SETTINGS = SearchSettings(t_max=4, budget=0.5, configurations=6, fresh=5)


def neuron():
    return IAFSqueeze(batch_size=1, spike_fn=SingleSpike, spike_threshold=torch.tensor(1.0))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    layers = (nn.Flatten(), nn.Linear(8, 12, bias=False), neuron())
    return nn.Sequential(*layers, nn.Linear(12, 6, bias=False), neuron())


@pytest.fixture(scope="module")
def parts(network):
    """Recordings whose classes are the network's own answers at 4 time steps everywhere."""
    torch.manual_seed(0)
    frames = torch.randint(0, 5, (120, 4, 2, 2, 2), dtype=torch.uint8)
    with torch.no_grad():
        labels = MixedTimestepNetwork(network).eval()(frames).mean(1).argmax(1)
    return FrameSet(frames[:60], labels[:60]), FrameSet(frames[60:], labels[60:])


@pytest.fixture(scope="module")
def found(network, parts):
    return search_timesteps(network, *parts, SETTINGS)


@torch.no_grad()
def answers(network, recordings, timesteps):
    scores = MixedTimestepNetwork(network).eval()(recordings.frames, timesteps).mean(1)
    silent = (scores == 0).all(1)
    return torch.where(silent, torch.tensor(-1), scores.argmax(1))


def test_each_configuration_is_measured_once_as_the_network_answers(network, parts, found):
    assert len({m.timesteps for m in found.measurements}) == 11
    assert [m.fitted for m in found.measurements] == [True] * 6 + [False] * 5
    for one in found.measurements[:3]:
        right = answers(network, parts[0], one.timesteps) == parts[0].labels
        assert one.measured == pytest.approx(float(right.float().mean()))


def test_rates_are_spikes_of_a_neuron_in_a_step(network, parts, found):
    """Counted layer by layer, without stages."""
    currents, rates = parts[0].frames.float(), []
    for linear in (network[1], network[3]):
        drive = currents.flatten(2) @ linear.weight.detach().T
        potential, spikes = torch.zeros_like(drive[:, 0]), []
        for step in drive.unbind(1):
            potential = potential + step
            spikes.append((potential >= 1).float())
            potential = potential - spikes[-1]
        currents = torch.stack(spikes, 1)
        rates.append(float(currents.mean()))
    assert found.rates == pytest.approx(rates, rel=1e-5)


def test_the_choice_is_the_best_of_all_by_the_model_inside_the_energy(found):
    assert found.problem == ""
    rates, weights = np.array(found.rates), np.array(found.weights)
    allowed = 0.5 * 4 * rates.sum() + 1e-9
    values = {
        t: float(weights @ np.sqrt(t))
        for t in product(range(1, 5), repeat=2)
        if rates @ np.array(t) <= allowed
    }
    assert values[found.chosen] == pytest.approx(max(values.values()))
    assert found.energy[0] == pytest.approx(rates @ np.array(found.chosen) / (4 * rates.sum()))
    assert (found.uniform, found.energy[1]) == (2, pytest.approx(0.5))


def test_others_judge_the_choice_against_the_same_time_steps_everywhere(network, parts, found):
    shares = [
        float((answers(network, parts[1], timesteps) == parts[1].labels).float().mean())
        for timesteps in ((2, 2), found.chosen)
    ]
    assert (found.gain.before, found.gain.after) == pytest.approx(tuple(shares))
    assert found.gain.recordings == 60


def test_the_page_has_a_point_for_each_configuration_and_claims_no_chip(found):
    page = search_page(found, "net.pt", "x", synthetic=True)
    wide = page.split('class="chart wide"')[1].split("</svg>")[0]
    assert wide.count('r="3"') == 11 + 2  # and both ends of the line where they are equal
    assert "A chip has no time steps" in page
    assert "synthetic recordings" in page


def test_accuracies_that_chance_explains_leave_the_same_time_steps_everywhere(network, parts):
    silent = FrameSet(torch.zeros_like(parts[0].frames), parts[0].labels)
    found = search_timesteps(network, silent, parts[1], SETTINGS)
    assert found.chosen == (2, 2)
    assert found.check is None
    assert "within" in found.problem
    assert "no model" in search_page(found, "net.pt", "x", synthetic=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SearchSettings(t_max=4, budget=0.2), "allow one time step in each stage"),
        (SearchSettings(t_max=4, budget=0.5, configurations=3, fresh=2), "at least 4 and 2"),
        (SearchSettings(t_max=2, budget=0.5, configurations=4, fresh=2), "than the 4 that there"),
    ],
)
def test_searches_that_can_not_be_are_refused_in_one_line(network, parts, settings, message):
    with pytest.raises(TrainingError, match=message):
        search_timesteps(network, *parts, settings)


@pytest.mark.parametrize(
    ("space", "out", "message"),
    [
        ("timesteps", "a.speck", "writes the .html page"),
        ("decimation", "a.html", "the .speck file"),
    ],
)
def test_each_way_of_tuning_writes_its_own_file(tmp_path, space, out, message):
    model = tmp_path / "net.pt"
    model.write_bytes(b"x")
    words = ["tune", str(model), "--by", space, "--data", "synthetic-digits", "-o"]
    result = CliRunner().invoke(main, [*words, str(tmp_path / out)])
    assert result.exit_code == 2
    assert message in result.stderr
