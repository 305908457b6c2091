"""The jobs of the GPU run, each a process of its own: `gpu_jobs.py JOB.json`.

A job writes what it has measured as soon as it has it, and trains as many epochs as fit.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gpu_data import SETS, T, load, load_one, store_recordings
from gpu_twin import compare_neurons, compare_twins, measure_speed

import speckflex as sf
from speckflex.deployment.torch_reference import TorchReference
from speckflex.events.perturbation import Perturbation, perturb
from speckflex.networks.files import load_network, save_network
from speckflex.training import (
    TrainingData,
    TrainingFiles,
    TrainingSettings,
    cache_frames,
    evaluate,
    finetune_network,
    open_fabric,
    train_network,
)
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.on_board.variation import ORDERS
from speckflex.training.pipeline import bounded_neuron, new_network
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from speckflex.training import FrameSet
    from speckflex.training.metrics import Progress

TRIAL = 320  # recordings that tell how long an epoch takes
FOLDS = 5
BASE = TrainingSettings(
    t_max=T,
    learning_rate=2e-3,
    augment="shift:2",
    output="mean",
    keep="last",
    epochs=1,
    synops_weight=0.0,
)
# This learning rate is for one epoch: in a second one it diverged.
ON_BOARD = replace(
    BASE,
    method="board",
    learning_rate=1e-3,
    clip_gradient=1.0,
    augment="shift:1,warp:1",
    output="total",
)
APART = 400  # images whose recordings train nothing
BASE_SHARE = 0.16  # of the time of a training with the board
BASE_EPOCHS = 12
JUDGED_AT = (2, 5, 10, 20, 50)


@dataclass(frozen=True)
class Job:
    """What a process shall do.

    Args:
        kind: a key of `KINDS`.
        name: of the result.
        work: folder with recordings, networks and results.
        until: seconds of the clock at which training ends.
        device: "cuda" or "cpu".
        threads: of torch and the twin.
        seed: of weights and draws.
        method: of kind "paper".
        fold: of kind "real".
        epochs: at most.
        copies: of the simulated recordings, in other handwriting.
        data: folder of kind "simulate".
        images: of kind "simulate".
        processes: of kind "simulate".
        sensor: of kind "simulate".
        vary: what varies from play to play, of kind "board".
        base: a network file to begin with, of kind "board"; "" to train one.
        nice: how far the job stands back behind others.
    """

    kind: str
    name: str
    work: str
    until: float
    device: str = "cpu"
    threads: int = 1
    seed: int = 1000
    method: str = "sdt"
    fold: int = 0
    epochs: int = 30
    copies: int = 0
    data: str = ""
    images: int = 0
    processes: int = 1
    sensor: str = "fitted"
    vary: str = ""
    base: str = ""
    nice: int = 0

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return Path(self.work)

    def write(self, **content: Any) -> None:
        """Add to the result of the job."""
        path = self.folder / f"{self.name}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        part = path.with_suffix(".part")
        part.write_text(json.dumps({**known, **content}))
        part.replace(path)

    def watch(self, progress: Progress) -> None:
        """End the training when its time is over, but not in its first epoch."""
        if time.time() > self.until and progress.epoch > 1:
            raise KeyboardInterrupt


def paper(job: Job) -> None:
    """Train one row of the paper's table on simulated recordings and judge it on all real ones."""
    shown, real = (load_one(job.folder, name) for name in (SETS[0], "real"))
    settings = TrainingSettings(
        method=job.method,
        t_max=T,
        learning_rate=1e-3,
        seed=job.seed,
        sampler="uniform",
        upsampling="copy",
        output="mean",
        keep="last",
        epochs=1,
    )
    neuron = bounded_neuron("multi-spike", -1.0)
    network = new_network("nmnist-3c1fc", seed=job.seed, neuron=neuron, voting="spikes")
    # keep="last": the real recordings are only measured after each epoch, and choose nothing
    data = TrainingData(shown, real)
    trained, settings = train_in_time(job, train_network, network, data, settings)
    judge(job, trained, real, "twin")
    measure_steps(job, trained, real)


def board(job: Job) -> None:
    """Train a base by SDT, go on with the twin in the loop; the real recordings only judge."""
    real = load_one(job.folder, "real")
    names = SETS[: job.copies + 1]
    base = load_network(job.base) if job.base else train_base(job, names[:2], real)
    judge(job, base, real, "before")
    save_network(base, job.folder / f"{job.name}-base.pt")
    data = TrainingData(simulated(job, names), real)
    settings = replace(ON_BOARD, seed=job.seed, vary=job.vary)
    tuned, _ = train_in_time(job, finetune_network, base, data, settings)
    save_network(tuned, job.folder / f"{job.name}.pt")
    apart = load(job.folder, names[:2], [apart_of(job)[:APART]] * 2)
    right = answers_on_twin(job, tuned, apart) == apart.labels.numpy()
    job.write(simulated_apart=float(right.mean()), simulated_apart_recordings=len(right))
    judge(job, tuned, real, "twin")
    judge_on_gpu(job, tuned, real)
    judge_varied(job, tuned, real, "twin")


def train_base(job: Job, names: Sequence[str], real: FrameSet) -> nn.Module:
    """Return a network trained by SDT in a part of the job's time."""
    neuron = bounded_neuron("multi-spike", -1.0)
    network = new_network("nmnist-3c1fc", seed=job.seed, neuron=neuron, voting="spikes")
    until = time.time() + BASE_SHARE * (job.until - time.time())
    data = TrainingData(simulated(job, names, frames=True), real)
    short, settings = replace(job, until=until, epochs=BASE_EPOCHS), replace(BASE, seed=job.seed)
    return train_in_time(short, train_network, network, data, settings, name="base")[0]


def simulated(
    job: Job, names: Sequence[str], *, frames: bool = False, apart: int = APART
) -> FrameSet:
    """Return the simulated recordings that train."""
    rest = apart_of(job)[apart:]
    return load(job.folder, names, [rest] * len(names), frames=frames)


def apart_of(job: Job) -> np.ndarray:
    """Return the positions of all images, of which the first `APART` train nothing."""
    return np.random.default_rng(1).permutation(len(load_one(job.folder, SETS[0])))


def real(job: Job) -> None:
    """Train a network of `board` on with four fifths of the real recordings, judge on the rest."""
    recordings = load_one(job.folder, "real")
    kept = np.arange(job.fold, len(recordings), FOLDS)
    others = np.setdiff1d(np.arange(len(recordings)), kept)
    apart = recordings.select(kept)
    base = load_network(job.folder / f"board-{job.seed}.pt")
    judge(job, base, apart, "before")
    rng = np.random.default_rng(job.seed + job.fold)
    names = SETS[: job.copies + 1]
    rest = apart_of(job)[APART:]
    some = [rng.permutation(rest)[: 2 * len(others) // len(names)] for _ in names]
    training = load(job.folder, ["real", *names], [np.tile(others, 2), *some])
    settings = replace(ON_BOARD, learning_rate=3e-4, seed=job.seed + job.fold)
    data = TrainingData(training, apart)
    tuned, _ = train_in_time(job, finetune_network, base, data, settings)
    judge(job, tuned, apart, "twin")
    job.write(positions=kept.tolist())


def warm(job: Job) -> None:
    """Compile the kernels once, so that the other jobs find them."""
    recordings = load_one(job.folder, "real")
    few = recordings.select(np.arange(0, len(recordings), max(len(recordings) // 20, 1)))
    settings = TrainingSettings(epochs=1, t_max=T, seed=1, keep="last")
    neuron = bounded_neuron("multi-spike", -1.0)
    network = new_network("nmnist-3c1fc", seed=1, neuron=neuron, voting="spikes")
    data = TrainingData(few, few)
    train_network(network, data, settings)
    finetune_network(network, data, replace(settings, method="board"))
    job.write(done=True)


def twin(job: Job) -> None:
    """Compare the twin on the GPU with the twin on the CPU, then measure both."""
    recordings: Any = load_one(job.folder, "real").events
    streams = [events for events, _ in recordings]
    compare_neurons(job.device, job.write)
    until = max(job.until, time.time() + 30)
    compare_twins(streams, job.device, until, job.write)
    measure_speed(streams, job.device, until + 15, job.write)


def simulate(job: Job) -> None:
    """Simulate the recordings, and store them with the real ones."""
    given = (Path(job.data), job.folder, job.images, job.copies, job.processes)
    store_recordings(*given, sensor=job.sensor)


KINDS = {
    "simulate": simulate,
    "paper": paper,
    "board": board,
    "real": real,
    "warm": warm,
    "twin": twin,
}


def train_in_time(
    job: Job,
    train: Callable[..., Any],
    network: nn.Module,
    data: TrainingData,
    settings: TrainingSettings,
    *,
    name: str = "training",
) -> tuple[nn.Module, TrainingSettings]:
    """Return the network after as many epochs as fit, and the settings of the training.

    A short trial on the job's device tells how many fit; it runs on the CPU if the device fails.
    """
    device, per_recording = job.device, 0.0
    for device in dict.fromkeys((job.device, "cpu")):
        try:
            fabric = open_fabric(device)
            per_recording = trial_seconds(partial(train, network, fabric=fabric), data, settings)
            break
        except Exception:
            job.write(**{f"{name}_failed_on_{device}": traceback.format_exc()[-1500:]})
            if device == "cpu":
                raise
    epoch = per_recording * (len(data.training) + 0.3 * len(data.validation))
    left = job.until - time.time()
    settings = replace(settings, epochs=int(min(max(left * 0.9 // epoch, 1), job.epochs)))
    job.write(**{f"{name}_settings": asdict(settings), f"{name}_device": device})
    metrics = job.folder / f"{job.name}-{name}.jsonl"
    result = train(
        network,
        data,
        settings,
        fabric=open_fabric(device),
        files=TrainingFiles(metrics=metrics),
        watch=job.watch,
    )
    epochs = [asdict(each) for each in result.history]
    job.write(**{name: epochs, f"{name}_recordings": len(data.training)})
    return result.network, settings


def trial_seconds(
    train: Callable[..., Any], data: TrainingData, settings: TrainingSettings
) -> float:
    """Return what one recording of an epoch takes, without what every training takes."""
    n_all = len(data.training)
    sizes = sorted({min(TRIAL, n_all), min(4 * TRIAL, n_all)})
    trials = [
        TrainingData(data.training.select(np.arange(size)), data.validation.select(np.arange(2)))
        for size in sizes
    ]
    taken = []
    for trial in (trials[0], *trials):  # the first one compiles
        started = time.time()
        train(data=trial, settings=settings)
        taken.append(time.time() - started)
    if len(sizes) == 1:
        return taken[-1] / sizes[0]
    return max(taken[-1] - taken[-2], 1e-3) / (sizes[1] - sizes[0])


def judge(job: Job, network: nn.Module, recordings: FrameSet, name: str) -> None:
    """Write the twin's answer to each recording, and the accuracy in torch at T = 10."""
    answers, labels = answers_on_twin(job, network, recordings), recordings.labels.numpy()
    accuracy = evaluate(MixedTimestepNetwork(network), recordings).accuracy
    job.write(
        **{
            name: float((answers == labels).mean()),
            f"{name}_torch": accuracy,
            f"{name}_predictions": answers.tolist(),
            "labels": labels.tolist(),
        }
    )


def answers_on_twin(job: Job, network: nn.Module, recordings: FrameSet) -> np.ndarray:
    """Return (recording,) int64, the twin's answer to each recording, -1 for none."""
    dataset: Any = recordings.events
    program = sf.convert(network, input_shape=dataset.shape)
    with sf.open_board("twin", threads=job.threads) as opened:
        opened.load(program)
        streams = [events for events, _ in dataset]
        return opened.play(streams, keep_events=False).answers()


def judge_varied(job: Job, network: nn.Module, recordings: FrameSet, name: str) -> None:
    """Write the twin's accuracy under other orders of output, and with changed input."""
    dataset: Any = recordings.events
    program = sf.convert(network, input_shape=dataset.shape)
    streams = [events for events, _ in dataset]
    rng = np.random.default_rng(0)
    perturbation = Perturbation(simultaneous=False, jitter=500.0, drop=0.1)
    changed = [perturb(events, perturbation, rng) for events in streams]
    played: dict[str, Any] = {order: (order, streams) for order in ORDERS[::8]}
    played["drop 10 %, jitter 500 us"] = (None, changed)
    found = {}
    for kind, (order, events) in played.items():
        settings = {} if order is None else {"settings": TwinSettings(output_order=order)}
        with sf.open_board("twin", threads=job.threads, **settings) as opened:
            opened.load(program)
            answers = opened.play(events, keep_events=False).answers()
        found[kind] = float((answers == recordings.labels.numpy()).mean())
        job.write(**{f"{name}_varied": found})


def judge_on_gpu(job: Job, network: nn.Module, recordings: FrameSet) -> None:
    """Write whether the twin on the GPU counts the same spikes of every neuron."""
    if job.device != "cuda":
        return
    dataset: Any = recordings.events
    program = sf.convert(network, input_shape=dataset.shape)
    streams = [events for events, _ in dataset]
    counts = []
    for name in ("twin", "twin:cuda"):
        with sf.open_board(name) as opened:
            opened.load(program)
            played = opened.play(streams, keep_events=False)
        counts.append([played.counts(layer) for layer in range(len(program.cores))])
    same = all(np.array_equal(one, other) for one, other in zip(*counts, strict=True))
    job.write(same_on_gpu=same)


def measure_steps(job: Job, network: nn.Module, recordings: FrameSet, name: str = "") -> None:
    """Write accuracies in torch at several T, and the spike difference of the output.

    Args:
        job: writes them.
        network: on frames.
        recordings: with events.
        name: in front of the two entries.
    """
    prefix = f"{name}_" if name else ""
    dataset: Any = recordings.events
    program = sf.convert(network, input_shape=dataset.shape)
    streams = [events for events, _ in dataset]
    with sf.open_board("twin", threads=job.threads) as opened:
        opened.load(program)
        played = opened.play(streams, keep_events=False)
    stepped = TorchReference(network, program, bins=T).play(streams, keep_events=False)
    job.write(**{f"{prefix}spike_difference": sf.compare(played, stepped).spike_difference})
    found = {}
    for bins in JUDGED_AT:
        frames = cache_frames(dataset, bins)
        found[bins] = evaluate(MixedTimestepNetwork(network), frames).accuracy
        job.write(**{f"{prefix}torch_at": found} if name else {"torch": found})


def main() -> None:
    """Do the job that is named."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    torch.set_num_threads(job.threads)
    os.nice(job.nice)
    started = time.time()
    try:
        KINDS[job.kind](job)
        job.write(done=True)
    except BaseException:
        job.write(failed=traceback.format_exc()[-3000:])
        raise
    finally:
        job.write(seconds=round(time.time() - started, 1))


if __name__ == "__main__":
    main()
