"""Files that version 0.1.0 wrote are read by every later version.

They were written by 0.1.0 itself: a network of its own neuron class, the program of the same
weights, a recording of two samples of that program on the twin, and the checkpoint of a training
that was killed in its third epoch.
"""

import shutil
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import sinabs.layers as sl
import torch
from torch import nn

import speckflex as sf
from speckflex.errors import TrainingError
from speckflex.networks.neurons import FusedIAFSqueeze, Triangular
from speckflex.training import FrameSet, TrainingData, TrainingFiles, TrainingSettings, fit

FILES = Path(__file__).resolve().parents[1] / "legacy"
PROGRAM_SHA256 = "e2631725122628801d931a6e37f2dcf33e523f9351ec6d1e469308a06630406a"


def test_a_network_with_our_own_neurons_is_loaded_into_today_s_classes():
    network = sf.load_network(FILES / "network-0.1.0.pt")
    neurons = [module for module in network if isinstance(module, sl.IAFSqueeze)]
    assert [type(neuron) for neuron in neurons] == [FusedIAFSqueeze, FusedIAFSqueeze]
    assert all(neuron.surrogate_grad_fn == Triangular(0.5) for neuron in neurons)
    assert type(neurons[0].surrogate_grad_fn) is Triangular
    assert [float(neuron.spike_threshold) for neuron in neurons] == [0.25, 0.125]
    # the weights were whole 64ths
    assert all(torch.equal(p * 64, torch.round(p * 64)) for p in network.parameters())


def test_a_program_keeps_its_hash():
    program = sf.Program.load(FILES / "program-0.1.0.speck")
    assert program.sha256 == PROGRAM_SHA256
    assert [core.weights.shape for core in program.cores] == [(3, 2, 3, 3), (4, 3, 4, 4)]


def test_a_recording_keeps_its_counts_labels_and_origin():
    recording = sf.Recording.load(FILES / "recording-0.1.0.h5")
    assert [int(recording.counts(layer).sum()) for layer in (0, 1)] == [49, 26]
    assert recording.labels is not None
    assert recording.labels.tolist() == [1, 2]
    assert recording.provenance.program_sha256 == PROGRAM_SHA256
    assert [log.written for log in recording.samples] == [120, 50]


def training_of_the_checkpoint():
    """The network, recordings and settings that the checkpoint's training began with."""
    values = torch.arange(24 * 2 * 1 * 4 * 4)
    frames = ((values * 7 + values // 5) % 2).reshape(24, 2, 1, 4, 4).to(torch.uint8)
    labels = torch.arange(24) % 2
    frames[labels == 1, :, :, :2] = 0
    frames[labels == 0, :, :, 2:] = 0
    data = TrainingData(FrameSet(frames[:16], labels[:16]), FrameSet(frames[16:], labels[16:]))
    neuron = sl.IAFSqueeze(batch_size=1, spike_threshold=0.5, min_v_mem=torch.tensor(-1.0))
    layers = OrderedDict(
        conv1=nn.Conv2d(1, 2, 3, padding=1, bias=False),
        spike1=neuron,
        flatten=nn.Flatten(),
        linear2=nn.Linear(32, 2, bias=False),
    )
    settings = TrainingSettings(
        method="mtt", sampler="fixed-first", t_max=2, epochs=3, batch_size=8, learning_rate=0.01
    )
    return nn.Sequential(layers), data, settings


def test_a_killed_training_is_resumed_from_its_checkpoint(tmp_path):
    checkpoint = Path(shutil.copy(FILES / "checkpoint-0.1.0.pt", tmp_path))
    network, data, settings = training_of_the_checkpoint()
    result = fit(network, data, settings, files=TrainingFiles(checkpoint, resume=checkpoint))
    assert [metrics.epoch for metrics in result.history] == [1, 2, 3]
    stored = torch.load(FILES / "checkpoint-0.1.0.pt", weights_only=True)["history"]
    assert [m.loss for m in result.history[:2]] == pytest.approx([m["loss"] for m in stored])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": "uniform"}, "was made with sampler fixed-first, now it is uniform"),
        ({"augment": "shift:2"}, "was made with augment none, now it is shift:2"),
        ({"granularity": 2}, "was made with granularity 1, now it is 2"),
    ],
)
def test_a_checkpoint_of_other_defaults_is_refused_in_one_line(changes, message, tmp_path):
    """0.1.0 kept the first stage at T_max, and called the augmentation `shift`."""
    checkpoint = Path(shutil.copy(FILES / "checkpoint-0.1.0.pt", tmp_path))
    network, data, settings = training_of_the_checkpoint()
    with pytest.raises(TrainingError, match=message) as caught:
        fit(network, data, replace(settings, **changes), files=TrainingFiles(resume=checkpoint))
    assert "\n" not in str(caught.value)
