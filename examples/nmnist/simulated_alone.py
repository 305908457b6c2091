"""Train on simulated recordings alone, with the twin in the loop, and judge on all real ones.

    python examples/nmnist/simulated_alone.py --data FOLDER --work WORK [--seed 1000] [--size tiny]
    python examples/nmnist/simulated_alone.py --data FOLDER --work WORK --folds 0 1 2 3 4

FOLDER has `mnist` (the test images and labels, .gz) and `nmnist` (with `Train` in it). Each image
is simulated by two sensors, and twice more in another handwriting. The last epoch counts, so the
real recordings choose nothing. A step whose network is in WORK is left out. The full size takes
40 minutes of one core for each seed.

With `--folds` four fifths of the real recordings train beside all simulated ones, and the other
fifth judges. The network before the board or the one after it goes on (`--folds-from`).

With `--method nmt` or `mtt` base and sparse network are trained at mixed time steps. `--until
sparse` leaves the board out, `--device cuda` trains on a GPU; judging always runs on the CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gpu_data import SETS, load_one, store_recordings
from gpu_jobs import (
    APART,
    BASE,
    BASE_EPOCHS,
    FOLDS,
    Job,
    answers_on_twin,
    apart_of,
    judge,
    judge_varied,
    load,
    measure_steps,
    simulated,
)
from gpu_tables import METHODS

import speckflex as sf
from speckflex.networks.files import load_network, save_network
from speckflex.training import (
    TrainingData,
    TrainingFiles,
    TrainingSettings,
    finetune_network,
    open_fabric,
    train_network,
)
from speckflex.training.pipeline import bounded_neuron, new_network
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from speckflex.training import FrameSet

DENSE = replace(BASE, epochs=BASE_EPOCHS)
# A network that is trained without a price of spikes sends ever more of them, and what it does in
# ten frames is then far from what it does event by event.
SPARSE = replace(BASE, learning_rate=1e-3, epochs=3, synops_weight=0.3)
ON_BOARD = replace(
    SPARSE,
    method="board",
    learning_rate=3e-3,
    output="total",
    augment="shift:1,warp:1",
    epochs=5,
    synops_weight=0.15,
)

# What the networks that go on with real recordings are trained with.
WITH_REAL = {
    "sparse": replace(ON_BOARD, epochs=4),
    "board": replace(ON_BOARD, learning_rate=2e-3, epochs=2),
}
REPEATS = 10  # of each real recording in an epoch, in another place and bent in another way


@dataclass(frozen=True)
class Scale:
    """How much is simulated and trained.

    Args:
        images: simulated, of MNIST's test images.
        apart: images whose recordings train nothing.
        epochs: of each training; None for those above.
    """

    images: int
    apart: int
    epochs: int | None = None


SCALES = {"full": Scale(9900, APART), "tiny": Scale(60, 10, 1)}


def main() -> None:
    """Do the steps that are not done, and print what is reached."""
    options = read_options()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    scale = SCALES[options.size]
    kind = "simulated-alone" if options.method == "sdt" else f"simulated-alone-{options.method}"
    name = f"{kind}-{options.seed}"
    rest = {"seed": options.seed, "copies": 3, "device": options.device}
    job = Job("board", name, str(options.work), until=0, **rest)
    if not (options.work / f"{SETS[3]}-labels.npy").exists():
        counts = (scale.images, job.copies, options.processes)
        store_recordings(options.data, options.work, *counts, sensor="both")
    real = load_one(options.work, "real")
    sparse = train_sparse(job, options.method, real, scale)
    networks = {"sparse": sparse}
    if options.until == "board":
        networks["board"] = train_on_board(job, sparse, real, scale)
    if "versions" not in read_result(job):
        versions = {"speckflex": __version__, "torch": torch.__version__}
        job.write(versions=versions, device=job.device)
    for fold in options.folds:
        run_fold(job, fold, options.folds_from, networks[options.folds_from], real, scale)


def train_sparse(job: Job, method: str, real: FrameSet, scale: Scale) -> nn.Module:
    """Return a network that sends few spikes, trained in torch."""
    network = new_network(
        "nmnist-3c1fc",
        seed=job.seed,
        neuron=bounded_neuron("multi-spike", -1.0),
        voting="spikes",
    )
    data = TrainingData(simulated(job, SETS[:2], frames=True, apart=scale.apart), real)
    # with mixed time steps "total" gives a score of the same size at any T
    drawn = {} if method == "sdt" else {"method": method, "output": "total"}
    for name, judged, chosen in (("base", "before", DENSE), ("sparse", "between", SPARSE)):
        settings = replace(chosen, **drawn)
        network = step(job, name, train_network, network, data, scaled(settings, scale))
        if f"{judged}_torch_at" not in read_result(job):
            judge(job, network, real, judged)
            measure_steps(job, network, real, judged)
    found = read_result(job)
    print(
        f"all {len(real)} real recordings: {found['before_torch']:.1%} in torch and"
        f" {found['before']:.1%} on the twin, then {found['between_torch']:.1%} and"
        f" {found['between']:.1%} with a price of spikes"
    )
    return network


def train_on_board(job: Job, sparse: nn.Module, real: FrameSet, scale: Scale) -> nn.Module:
    """Return the network after more epochs that the twin plays."""
    data = TrainingData(simulated(job, SETS, apart=scale.apart), real)
    tuned = step(job, "board", finetune_network, sparse, data, scaled(ON_BOARD, scale))
    judge(job, tuned, real, "twin")
    judge_varied(job, tuned, real, "twin")
    base = load_network(job.folder / f"{job.name}-base.pt")
    networks = {"base": base, "sparse": sparse, "board": tuned}
    job.write(spikes={key: spikes(each, real) for key, each in networks.items()})
    apart = load(job.folder, SETS[:2], [apart_of(job)[: scale.apart]] * 2)
    right = answers_on_twin(job, tuned, apart) == apart.labels.numpy()
    job.write(simulated_apart=float(right.mean()), simulated_apart_recordings=len(right))
    print(
        f"all {len(real)} real recordings: {read_result(job)['twin']:.1%} on the twin with the"
        f" board in the loop; simulated ones that trained nothing: {right.mean():.1%}"
    )
    return tuned


def run_fold(
    job: Job, fold: int, start: str, network: nn.Module, real: FrameSet, scale: Scale
) -> None:
    """Go on with four fifths of the real recordings, and judge on the other fifth."""
    job = replace(job, name=f"{job.name}-{start}-real{fold}")
    kept = np.arange(fold, len(real), FOLDS)
    others = np.setdiff1d(np.arange(len(real)), kept)
    rest = apart_of(job)[scale.apart :]
    places = [np.tile(others, REPEATS), *[rest] * len(SETS)]
    data = TrainingData(load(job.folder, ["real", *SETS], places), real.select(kept))
    settings = scaled(WITH_REAL[start], scale)
    judge(job, network, data.validation, "before")
    tuned = step(job, "tuned", finetune_network, network, data, settings)
    judge(job, tuned, data.validation, "twin")
    job.write(positions=kept.tolist())
    found = read_result(job)
    print(f"fold {fold}: {found['before']:.1%} to {found['twin']:.1%} on the twin")


def read_result(job: Job) -> dict[str, Any]:
    """Return what a job has written so far."""
    path = job.folder / f"{job.name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def spikes(network: nn.Module, recordings: FrameSet) -> list[float]:
    """Return what each layer sends on the twin for a recording, in the mean."""
    dataset: Any = recordings.events
    program = sf.convert(network, input_shape=dataset.shape)
    with sf.open_board("twin") as opened:
        opened.load(program)
        played = opened.play([events for events, _ in dataset], keep_events=False)
    return [float(layer.counts.sum() / len(dataset)) for layer in played.layers]


def scaled(settings: TrainingSettings, scale: Scale) -> TrainingSettings:
    """Return the settings with the epochs of a scale."""
    if scale.epochs is None:
        return settings
    return replace(settings, epochs=scale.epochs)


def step(
    job: Job,
    name: str,
    train: Callable[..., Any],
    network: nn.Module,
    data: TrainingData,
    settings: TrainingSettings,
) -> nn.Module:
    """Return a trained network: that of the file, if an earlier run has written it."""
    path = job.folder / f"{job.name}-{name}.pt"
    if path.exists():
        return load_network(path)
    started = time.monotonic()
    settings = replace(settings, seed=job.seed)
    checkpoint = path.with_suffix(".checkpoint")
    files = TrainingFiles(checkpoint, resume=checkpoint if checkpoint.exists() else None)
    fabric = open_fabric(job.device)
    result = train(network, data, settings, fabric=fabric, files=files, watch=show)
    save_network(result.network, path)
    job.write(
        **{
            name: [asdict(epoch) for epoch in result.history],
            f"{name}_settings": asdict(settings),
            f"{name}_recordings": len(data.training),
            f"{name}_seconds": round(time.monotonic() - started),
        }
    )
    return result.network


def show(progress: Any) -> None:
    """Print where a training stands, every 200 steps."""
    if progress.step % 200 == 0:
        done = f"step {progress.step} of {progress.n_steps}"
        print(f"{done}: loss {progress.loss:.3f}, {progress.accuracy:.1%} right", flush=True)


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Train on simulated recordings alone.")
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist and nmnist")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything else")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--size", choices=list(SCALES), default="full")
    parser.add_argument("--method", choices=METHODS, default="sdt", help="of base and sparse")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--until", choices=list(WITH_REAL), default="board")
    parser.add_argument("--folds", type=int, nargs="+", default=[], choices=range(FOLDS))
    parser.add_argument("--folds-from", choices=list(WITH_REAL), default="sparse")
    parser.add_argument("--processes", type=int, default=2, help="that simulate")
    options = parser.parse_args()
    if options.folds and (options.until, options.folds_from) == ("sparse", "board"):
        parser.error("--folds-from board goes on from what --until board trains: leave one out")
    return options


if __name__ == "__main__":
    main()
