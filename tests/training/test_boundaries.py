"""Rules of each boundary between stages, against the transforms applied one by one by hand."""

import pytest
import torch
from sinabs.layers import IAFSqueeze
from torch import nn

from speckflex.errors import TrainingError
from speckflex.training.mixed.boundaries import Boundary, default_boundaries, parse_boundaries
from speckflex.training.mixed.stages import MixedTimestepNetwork, split_stages
from speckflex.training.mixed.temporal import TemporalTransform
from speckflex.training.settings import TrainingSettings


def network() -> nn.Sequential:
    torch.manual_seed(3)
    layers = [(nn.Linear(5, 5, bias=False), IAFSqueeze(batch_size=1)) for _ in range(3)]
    for linear, _ in layers:
        linear.weight.data.abs_().mul_(3)  # so that all of them spike
    return nn.Sequential(*(layer for pair in layers for layer in pair))


def by_hand(net: nn.Sequential, frames: torch.Tensor, counts, rules) -> torch.Tensor:
    for index, (count, (up, down)) in enumerate(zip(counts, rules, strict=True)):
        change = TemporalTransform(count, upsampling=up, downsampling=down)
        currents = net[2 * index](change(frames))
        neuron = IAFSqueeze(batch_size=len(frames))
        frames = neuron(currents.flatten(0, 1)).unflatten(0, currents.shape[:2])
    return frames


RULES = [
    "copy/sum,copy/sum,copy/sum",
    "copy/trim,spread,rate",
    "rate,trim,spread/rate",
    "sum,rate,trim",
]


@pytest.mark.parametrize("text", RULES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("counts", [(3, 5, 2), (6, 2, 4), (4, 4, 4)])
def test_each_boundary_follows_its_own_rule(text, dtype, counts):
    net = network()
    rules = parse_boundaries(text)
    frames = torch.randint(0, 4, (2, 4, 5), generator=torch.Generator().manual_seed(1)).to(dtype)
    mixed = MixedTimestepNetwork(net, boundaries=rules)
    with torch.no_grad():
        ours = mixed(frames, counts)
        expected = by_hand(net, frames.float(), counts, rules)
    torch.testing.assert_close(ours, expected)
    assert ours.abs().sum() > 0


def test_what_a_text_leaves_out_is_the_papers():
    texts = ["copy", "sum", "spread/trim", "trim", "rate", "rate/sum"]
    assert parse_boundaries(", ".join(texts)) == (
        Boundary("copy", "sum"),
        Boundary("copy", "sum"),
        Boundary("spread", "trim"),
        Boundary("copy", "trim"),
        Boundary("rate", "rate"),
        Boundary("rate", "sum"),
    )
    assert parse_boundaries("") == ()


@pytest.mark.parametrize(
    "text", ["double", "copy/copy", "sum/copy", "copy/sum/rate", "copy,,sum", "/"]
)
def test_other_words_are_refused_by_the_settings(text):
    with pytest.raises(TrainingError, match="is not known: write a rule for more frames"):
        TrainingSettings(boundaries=text)


def test_two_settings_stand_for_all_boundaries_of_a_training():
    assert list(map(str, default_boundaries(3, "spread", "trim"))) == [
        "spread/trim",
        "spread/sum",
        "spread/sum",
    ]
    assert str(default_boundaries(2, "rate", "sum")[1]) == "rate/rate"


def test_another_number_of_boundaries_than_stages_is_refused():
    with pytest.raises(
        TrainingError, match=r"boundaries copy/sum,copy/sum are 2, the network has 3"
    ):
        MixedTimestepNetwork(
            network(), split_stages(network()), boundaries=[Boundary(), Boundary()]
        )


def test_the_law_has_no_boundaries_of_its_own():
    with pytest.raises(TrainingError, match="method law"):
        TrainingSettings(method="law", upsampling="spread", boundaries="copy,sum")
