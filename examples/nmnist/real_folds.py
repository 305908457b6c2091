"""Train on with real recordings too, and judge each of them by a network that never saw it.

    python examples/nmnist/real_folds.py --data NMNIST --simulated SYNTHETIC --base BASE.pt \
        --work WORK --seed 1000

BASE is a network of board_experiment.py, trained on simulated recordings alone. The real recordings
are divided into folds, each class alike. For each fold the base is trained on with the recordings
of the others and with simulated ones, once with the twin in the loop and once by SDT in torch for
as many epochs; the last epoch counts. So nothing is chosen by a real recording.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from board_data import answers_in_torch, answers_on_twin, folds_of, joined

from speckflex.data import EventDataset, open_dataset
from speckflex.networks.files import load_network, save_network
from speckflex.training import TrainingData, TrainingSettings, cache_frames, finetune_network
from speckflex.training.gain import paired_gain
from speckflex.version import __version__

T = 10
SHOWN = 50  # simulated recordings that only show how the training goes


def main() -> None:
    """Train each fold that has no network yet, and write what all of them answer."""
    options = read_options()
    options.only = options.only or list(range(options.folds))
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    real = open_dataset(options.data, split="train")
    simulated = joined([open_dataset(folder, split="train") for folder in options.simulated])
    folds = folds_of(real.labels, options.folds, options.seed)
    board = TrainingSettings(
        method="board",
        t_max=options.frames,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        augment=options.augment,
        vary=options.vary,
        keep="last",
        chosen_by="torch",
        seed=options.seed,
        synops_weight=0.0,
    )
    steps = replace(board, method="sdt", t_max=T, output="mean", vary="")
    base_twin = np.array(answers_on_twin(load_network(options.base), real))
    for method, settings in (("board", board), ("sdt", steps)):
        answers = {"twin": np.full(len(real), -1), "torch": np.full(len(real), -1)}
        answers["base_twin"] = base_twin
        for fold in options.only if method in options.methods else ():
            run(fold, folds, (real, simulated), settings, answers, options)
            judged = np.isin(folds, options.only[: options.only.index(fold) + 1])
            write(settings, real.labels, folds, judged, answers, options)


def run(
    fold: int,
    folds: np.ndarray,
    recordings: tuple[EventDataset, EventDataset],
    settings: TrainingSettings,
    answers: dict[str, np.ndarray],
    options: argparse.Namespace,
) -> None:
    """Train without the recordings of a fold, and note what is answered to them."""
    real, simulated = recordings
    apart = np.flatnonzero(folds == fold)
    path = options.work / f"{options.name}-{settings.method}-fold{fold}.pt"
    if not path.exists():
        training = np.tile(np.flatnonzero(folds != fold), options.repeat)
        beside = np.random.default_rng((options.seed, fold)).permutation(len(simulated))
        shown, beside = np.split(beside[: SHOWN + options.beside], [SHOWN])
        parts = joined([real.subset(training), simulated.subset(beside)])
        data = [cache_frames(part, settings.t_max) for part in (parts, simulated.subset(shown))]
        tuned = finetune_network(load_network(options.base), TrainingData(*data), settings)
        save_network(tuned.network, path)
        seconds = sum(epoch.seconds for epoch in tuned.history)
        print(f"{path.name}: {len(parts)} recordings, {seconds:.0f} s", flush=True)
    network = load_network(path)
    answers["twin"][apart] = answers_on_twin(network, real.subset(apart))
    answers["torch"][apart] = answers_in_torch(network, real.subset(apart), T)
    right = {kind: (answers[kind] == real.labels)[apart].mean() for kind in ("twin", "torch")}
    print(f"fold {fold}: twin {right['twin']:.1%}, torch {right['torch']:.1%}", flush=True)


def write(
    settings: TrainingSettings,
    labels: np.ndarray,
    folds: np.ndarray,
    judged: np.ndarray,
    answers: dict[str, np.ndarray],
    options: argparse.Namespace,
) -> None:
    """Write what the folds so far have answered, and print what was won over the base."""
    kept = ("repeat", "beside", "folds")
    right = {kind: (found == labels)[judged] for kind, found in answers.items()}
    content = {
        "method": settings.method,
        "settings": asdict(settings),
        "base": options.base.name,
        "simulated": [Path(folder).name for folder in options.simulated],
        "options": {name: getattr(options, name) for name in kept},
        "versions": {"speckflex": __version__, "torch": torch.__version__},
        **{kind: float(hits.mean()) for kind, hits in right.items()},
        "position": np.flatnonzero(judged).tolist(),
        "fold": folds[judged].tolist(),
        "labels": labels[judged].tolist(),
        **{f"{kind}_predictions": found[judged].tolist() for kind, found in answers.items()},
    }
    name = f"{options.name}-{settings.method}-seed{options.seed}.json"
    (options.out / name).write_text(json.dumps(content) + "\n")
    gain = paired_gain(right["base_twin"], right["twin"])
    low, high = (100 * end for end in gain.interval)
    print(
        f"{settings.method}, {judged.sum()} recordings: twin {gain.after:.1%}, torch"
        f" {right['torch'].mean():.1%}; the base on the twin {gain.before:.1%}:"
        f" {100 * (gain.after - gain.before):+.1f} ({low:+.1f} to {high:+.1f})",
        flush=True,
    )


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Train on with real recordings, in folds.")
    parser.add_argument("--data", required=True, help="N-MNIST: Train inside, or label folders")
    parser.add_argument("--simulated", nargs="+", required=True)
    parser.add_argument("--base", type=Path, required=True, help="network to train on")
    parser.add_argument("--methods", nargs="+", default=["board", "sdt"])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="+", help="run these folds, not all")
    parser.add_argument("--repeat", type=int, default=3, help="times each real recording, an epoch")
    parser.add_argument("--beside", type=int, default=2400, help="simulated recordings")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--augment", default="shift:1,warp:1")
    parser.add_argument("--vary", default="")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--name", default="folds", help="of the files")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
