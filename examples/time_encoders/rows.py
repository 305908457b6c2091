"""Train time encoders, and what they are held against, and write a result file for each.

python examples/time_encoders/rows.py [ROW ...] [--mnist FOLDER] [--seed N] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from recurrent import train_rnn

from speckflex.data import Preprocessing, open_dataset, preprocess
from speckflex.networks.factories import parse_factory
from speckflex.networks.time_encoders import time_encoder
from speckflex.training import FrameSet, TrainingData, cache_frames, train_network
from speckflex.training.data import split_by_class
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.recipes import find_recipe
from speckflex.training.results import result_of

if TYPE_CHECKING:
    import numpy as np

    from speckflex.training import TrainingSettings


@dataclass(frozen=True)
class Task:
    """What is to be told apart.

    Args:
        recipe: a name of `--recipe`.
        changes: settings that are not the recipe's, so that a row takes minutes.
        later: time steps of all stages but the first, which has T_max.
    """

    recipe: str
    changes: dict[str, Any]
    later: tuple[int, ...]


class Row(NamedTuple):
    """One training.

    Attributes:
        task: a key of `TASKS`.
        method: sdt, mtt, or rnn for torch's RNN of as many layers and units.
        network: arguments of `time_encoder` that are not the recipe's.
        shuffled: whether the frames of each recording are shuffled, for training and test.
    """

    task: str
    method: str
    network: tuple[tuple[str, float], ...] = ()
    shuffled: bool = False


TASKS = {
    "tones": Task(
        "paper-shd",
        {"t_max": 50, "frame_time": 20_000, "epochs": 10, "learning_rate": 1e-2, "batch_size": 32},
        (50, 25, 10, 5, 1),
    ),
    "seqmnist": Task(
        "paper-seqmnist", {"epochs": 10, "learning_rate": 3e-3}, (784, 392, 98, 28, 7, 1)
    ),
}
ROWS = {
    "tones-sdt": Row("tones", "sdt"),
    "tones-mtt": Row("tones", "mtt"),
    "tones-no-memory": Row("tones", "sdt", (("leak", 0.0),)),
    "tones-no-order": Row("tones", "sdt", shuffled=True),
    "tones-rnn": Row("tones", "rnn"),
    "seqmnist-sdt": Row("seqmnist", "sdt"),
    "seqmnist-mtt": Row("seqmnist", "mtt"),
    "seqmnist-rnn": Row("seqmnist", "rnn"),
}
MNIST_IMAGES, MNIST_UNSEEN = 5000, 0.2  # of MNIST's 10 000 test images
CHOOSING_SHARE = 0.1


def main() -> None:
    """Train each row, measure it at several numbers of time steps, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=list(ROWS))
    parser.add_argument("--mnist", type=Path, help="folder with the t10k files of MNIST")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.rows:
        if ROWS[name].task == "seqmnist" and options.mnist is None:
            print(f"{name}: left out, because --mnist names no folder with MNIST's t10k files")
            continue
        result = {"row": name, **run_row(ROWS[name], options.mnist, options.seed)}
        path = options.out / f"{name}-seed{options.seed}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(path, result["accuracy"], f"{result['cpu_seconds']:.0f} CPU s", flush=True)


def run_row(row: Row, mnist: Path | None, seed: int) -> dict[str, Any]:
    """Return the content of a row's result file, but its name."""
    started = time.process_time()
    task = TASKS[row.task]
    recipe = find_recipe(task.recipe)
    changes = {**task.changes, "method": "mtt" if row.method == "mtt" else "sdt", "seed": seed}
    settings = replace(recipe.training, **changes)
    seen, unseen = read_tones(settings) if row.task == "tones" else read_mnist(mnist, settings)
    if row.shuffled:
        seen, unseen = shuffled(seen, seed), shuffled(unseen, seed)
    parts = split_by_class(seen.labels.numpy(), CHOOSING_SHARE, seed=seed)
    data = TrainingData(seen.select(parts.training), seen.select(parts.validation))
    sizes = {**parse_factory(recipe.network).arguments, **dict(row.network)}
    torch.manual_seed(seed)
    if row.method == "rnn":
        answers = {f"T={settings.t_max}": train_rnn(data, unseen, settings, sizes)}
    else:
        network = time_encoder(input_shape=data.shape, n_classes=data.n_classes, **sizes)
        trained = train_network(network, data, settings).network
        answers = answers_of(trained, unseen, settings.t_max, task.later)
    return {
        **result_of(settings, unseen.labels.numpy(), answers),
        "trained_on": len(data.training),
        "cpu_seconds": time.process_time() - started,
    }


def read_tones(settings: TrainingSettings) -> tuple[FrameSet, FrameSet]:
    """Return synthetic tones that may be seen, and those that nothing sees."""
    fit = Preprocessing(resize=(1, 70))
    seen, unseen = (
        cache_frames(
            preprocess(open_dataset("synthetic-tones", split=split), fit),
            settings.t_max,
            frame_time=settings.frame_time,
        )
        for split in ("train", "test")
    )
    return seen, unseen


def read_mnist(folder: Path | None, settings: TrainingSettings) -> tuple[FrameSet, FrameSet]:
    """Return images of MNIST's test files that may be seen, and others that nothing sees."""
    images = open_dataset(folder or "", split="test").balanced(MNIST_IMAGES)
    frames = cache_frames(images, settings.t_max, frame_time=settings.frame_time)
    parts = split_by_class(frames.labels.numpy(), MNIST_UNSEEN, seed=0)
    return frames.select(parts.training), frames.select(parts.validation)


def shuffled(recordings: FrameSet, seed: int) -> FrameSet:
    """Return recordings whose frames stand in an order by chance."""
    draw = torch.Generator().manual_seed(seed)
    orders = (torch.randperm(recordings.frames.shape[1], generator=draw) for _ in recordings.labels)
    frames = [frames[order] for frames, order in zip(recordings.frames, orders, strict=True)]
    return replace(recordings, frames=torch.stack(frames))


@torch.no_grad()
def answers_of(
    network: torch.nn.Module, recordings: FrameSet, t_max: int, later: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return the answers with the first stage at T_max and the others at each number of `later`.

    Those to the same recordings in an order by chance are added.
    """
    mixed = MixedTimestepNetwork(network).eval()
    free = mixed.n_stages - 1
    cases = [(f"T={t_max},{t}", recordings, (t_max, *[t] * free)) for t in later]
    cases.append(("shuffled", shuffled(recordings, 0), (t_max,) * mixed.n_stages))
    return {
        name: torch.cat(
            [mixed(part, counts).mean(1).argmax(1) for part in given.frames.split(64)]
        ).numpy()
        for name, given, counts in cases
    }


if __name__ == "__main__":
    main()
