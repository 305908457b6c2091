"""Several processes started by torchrun train as one with the larger batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = """
import json, sys
from contextlib import closing
from types import SimpleNamespace
import numpy as np
import torch
from collections import OrderedDict
from torch import nn
from speckflex.training import FrameSet, TrainingData, TrainingFiles, TrainingSettings, fit
from speckflex.training import open_fabric
from speckflex.data import EventDataset
from speckflex.events.streams import as_events, make_events
from speckflex.training import cache_frames, evaluate
from speckflex.conversion.convert import convert
from speckflex.networks.spiking import spiking_network
from speckflex.training._epoch import _board_accuracy, _board_load
from speckflex.training._twin_validation import twin_accuracy
from speckflex.training.on_board.board_loop import BoardLoop
from speckflex.training.on_board.variation import Variation
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.pipeline import new_network

folder, batch_size = sys.argv[1:]
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(3)
frames = torch.randint(0, 3, (34, 4, 2, 9, 9), generator=generator, dtype=torch.uint8)
labels = torch.arange(34) % 2
fabric = open_fabric("cpu")
# the last of 25's batches has one recording for two processes
for method, n in (("mtt", 25), ("sdt", 24)):
    data = TrainingData(FrameSet(frames[:n], labels[:n]), FrameSet(frames[25:], labels[25:]))
    network = new_network("nmnist-3c1fc", seed=0, input_shape=(2, 9, 9), n_classes=2, width=4)
    settings = TrainingSettings(
        method=method, t_max=4, epochs=2, batch_size=int(batch_size), learning_rate=0.05,
        augment="shift:1", optimiser="sgd", synops_weight=0.01, eight_bit=True,
    )
    result = fit(network, data, settings, fabric=fabric)
    torch.save(result.network.state_dict(), f"{folder}/{method}{fabric.global_rank}.pt")
    if fabric.is_global_zero:
        history = [[m.loss, m.accuracy, m.validation_loss] for m in result.history]
        with open(f"{folder}/{method}.json", "w") as file:
            json.dump(history, file)

# three batches, so that two processes have two and one; five recordings for the twin
mixed = MixedTimestepNetwork(result.network)
many = FrameSet(torch.cat([frames] * 5)[:150], torch.arange(150) % 2)
rng = np.random.default_rng(1)
items = [make_events(np.arange(60) * 9, *rng.integers(0, (9, 9, 2), (60, 3)).T) for _ in range(5)]
labels = np.arange(5) % 2
dataset = EventDataset("events", (2, 9, 9), ("a", "b"), labels, True, tuple(items), as_events)
events, network = cache_frames(dataset, 4), result.network
shared, alone = evaluate(mixed, many, fabric=fabric), evaluate(mixed, many)
assert (shared.loss, shared.accuracy) == (alone.loss, alone.accuracy)
assert shared.answers.tolist() == alone.answers.tolist()
assert twin_accuracy(network, events, fabric=fabric) == twin_accuracy(network, events)

# a board that the processes share: 5 recordings, so that two processes have three and two
loud = new_network("nmnist-3c1fc", seed=0, input_shape=(2, 9, 9), n_classes=2, width=4)
for layer in loud.modules():
    if getattr(layer, "weight", None) is not None:
        layer.weight.data.abs_()  # so that all layers spike
with closing(BoardLoop("twin", 1, convert(spiking_network(loud), (2, 9, 9)), Variation())) as board:
    run = SimpleNamespace(
        data=SimpleNamespace(validation=events), mixed=SimpleNamespace(network=loud), fabric=fabric
    )
    assert _board_accuracy(run, board) == board.accuracy(loud, events) > 0
    assert _board_load(run, board) == board.peak_load(loud, events) > 0
"""


def _train(folder: Path, launcher: list[str], batch_size: str) -> Path:
    folder.mkdir()
    script = folder / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    environment["PYTHONWARNINGS"] = "error::DeprecationWarning,error::FutureWarning"
    command = [sys.executable, *launcher, str(script), str(folder), batch_size]
    done = subprocess.run(command, env=environment, timeout=300, capture_output=True, text=True)  # noqa: S603, PLW1510
    assert done.returncode == 0, done.stderr
    return folder


TWO_PROCESSES = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def test_two_processes_train_like_one_with_the_doubled_batch(tmp_path):
    one = _train(tmp_path / "one", [], "8")
    two = _train(tmp_path / "two", TWO_PROCESSES, "4")
    for method in ("mtt", "sdt"):
        (alone,), (first, second) = (
            [torch.load(path, weights_only=True) for path in sorted(folder.glob(f"{method}*.pt"))]
            for folder in (one, two)
        )
        for name, value in alone.items():
            assert torch.allclose(value, first[name], atol=1e-5), (method, name)
            assert torch.equal(first[name], second[name]), (method, name)
        histories = [json.loads((folder / f"{method}.json").read_text()) for folder in (one, two)]
        assert torch.allclose(*map(torch.tensor, histories), atol=1e-4), method
