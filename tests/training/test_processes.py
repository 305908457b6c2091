"""Several processes started by torchrun train as one with the larger batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = """
import json, sys
import torch
from collections import OrderedDict
from torch import nn
from speckflex.training import FrameSet, TrainingData, TrainingFiles, TrainingSettings, fit
from speckflex.training import open_fabric
from speckflex.training.pipeline import new_network

folder, batch_size, method, n_recordings = sys.argv[1:]
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(3)
frames = torch.randint(0, 3, (34, 4, 2, 9, 9), generator=generator, dtype=torch.uint8)
labels = torch.arange(34) % 2
n = int(n_recordings)
data = TrainingData(FrameSet(frames[:n], labels[:n]), FrameSet(frames[25:], labels[25:]))
network = new_network("nmnist-3c1fc", seed=0, input_shape=(2, 9, 9), n_classes=2, width=4)
fabric = open_fabric("cpu")
settings = TrainingSettings(
    method=method, t_max=4, epochs=2, batch_size=int(batch_size), learning_rate=0.05, shift=1,
    optimiser="sgd", synops_weight=0.01, eight_bit=True,
)
result = fit(network, data, settings, fabric=fabric)
torch.save(result.network.state_dict(), f"{folder}/weights{fabric.global_rank}.pt")
if fabric.is_global_zero:
    history = [[m.loss, m.accuracy, m.validation_loss] for m in result.history]
    with open(f"{folder}/history.json", "w") as file:
        json.dump(history, file)
"""


def _train(folder: Path, launcher: list[str], *arguments: str) -> tuple[list, list[dict]]:
    folder.mkdir()
    script = folder / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, *launcher, str(script), str(folder), *arguments]
    done = subprocess.run(command, env=environment, timeout=300, capture_output=True, text=True)  # noqa: S603, PLW1510
    assert done.returncode == 0, done.stderr
    weights = [torch.load(path, weights_only=True) for path in sorted(folder.glob("weights*.pt"))]
    return json.loads((folder / "history.json").read_text()), weights


TWO_PROCESSES = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


@pytest.mark.parametrize(
    ("method", "n_recordings"),
    [
        ("mtt", "25"),  # the last of the batches has one recording for two processes
        ("sdt", "24"),
    ],
)
def test_two_processes_train_like_one_with_the_doubled_batch(tmp_path, method, n_recordings):
    history, (alone,) = _train(tmp_path / "one", [], "8", method, n_recordings)
    shared_history, (first, second) = _train(
        tmp_path / "two", TWO_PROCESSES, "4", method, n_recordings
    )
    for name, value in alone.items():
        assert torch.allclose(value, first[name], atol=1e-5), name
        assert torch.equal(first[name], second[name]), name
    assert torch.allclose(torch.tensor(history), torch.tensor(shared_history), atol=1e-4)
