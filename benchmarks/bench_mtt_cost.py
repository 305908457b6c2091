"""Measure an optimiser step of MTT against one of SDT, and compare with the theory (MTT, A.13).

    python benchmarks/bench_mtt_cost.py [--seconds S] [--batch N] [--networks NAME ...]
                                        [--json FILE]

Theory: `s * (T_min + T_max) / (2 * T_max)` for s passes in a step, at uniformly drawn time steps.
SDT and MTT take turns in one run. Each drawn configuration is followed by its mirror image
`T_min + T_max - t`, so that the mean length is exactly the expected one. The ratio is that of the
mean processor times, without the slowest tenth of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from speckflex.networks.paper import NETWORKS
from speckflex.training.mixed.samplers import FixedFirstSampler, TimestepSampler, UniformSampler
from speckflex.training.mixed.stages import MixedTimestepNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = 3
ROWS = (("nmnist-3c1fc", 6), ("nmnist-3c1fc", 10), ("gesture-4c2fc", 10), ("gesture-4c2fc", 40))


class Trainer:
    """A network with its optimiser and one batch."""

    def __init__(self, name: str, t_max: int, batch: int) -> None:
        torch.manual_seed(0)
        self.network = MixedTimestepNetwork(NETWORKS[name](voting="potential"))
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=5e-4)
        generator = torch.Generator().manual_seed(0)
        rates = torch.full((batch, t_max, *NETWORKS[name].input_shape), 3 / t_max)
        # as the training loop holds them
        self.frames = torch.poisson(rates, generator=generator).to(torch.uint8)
        self.labels = torch.randint(0, 10, (batch,), generator=generator)

    def step(self, configurations: Sequence[Sequence[int]]) -> float:
        """Train for one optimiser step and return the seconds it took."""
        # other work on a shared machine takes no processor time of this process
        start = time.process_time()
        self.optimiser.zero_grad()
        for timesteps in configurations:
            output = self.network(self.frames, timesteps).mean(1)
            nn.functional.cross_entropy(output, self.labels).backward()
        self.optimiser.step()
        return time.process_time() - start


def mirrored(
    configurations: Sequence[Sequence[int]], sampler: TimestepSampler
) -> list[tuple[int, ...]]:
    """Return the mirror images of configurations, which bring the mean length to the expected."""
    total = sampler.t_min + sampler.t_max
    first_fixed = isinstance(sampler, FixedFirstSampler)
    return [
        tuple(
            count if first_fixed and stage == 0 else total - count
            for stage, count in enumerate(timesteps)
        )
        for timesteps in configurations
    ]


def measure(trainer: Trainer, sampler: TimestepSampler, seconds: float) -> tuple[float, float, int]:
    """Return the mean seconds of an SDT and of an MTT step, and the number of rounds."""
    generator = torch.Generator().manual_seed(1)
    uniform = [(sampler.t_max,) * sampler.n_stages]
    # The convolutions of each length are compiled at their first use.
    trainer.step([(count,) * sampler.n_stages for count in range(1, sampler.t_max + 1)])
    rounds: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds) < 5:
        drawn = [sampler(generator) for _ in range(SAMPLES)]
        sdt = trainer.step(uniform)
        mtt = trainer.step(drawn)
        sdt += trainer.step(uniform)
        mtt += trainer.step(mirrored(drawn, sampler))
        rounds.append((sdt / 2, mtt / 2))
    kept = sorted(rounds, key=sum)[: max(1, 9 * len(rounds) // 10)]
    sdt, mtt = (sum(times) / len(kept) for times in zip(*kept, strict=True))
    return sdt, mtt, len(rounds)


def measure_row(name: str, t_max: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one network at one number of time steps."""
    trainer = Trainer(name, t_max, options.batch)
    n_stages = trainer.network.n_stages
    sdt, mtt, rounds = measure(trainer, UniformSampler(n_stages, t_max), options.seconds)
    fixed = measure(trainer, FixedFirstSampler(n_stages, t_max), options.seconds)
    theory = SAMPLES * (1 + t_max) / (2 * t_max)
    return {
        "network": name,
        "t_max": t_max,
        "sdt_ms": 1000 * sdt,
        "mtt_ms": 1000 * mtt,
        "ratio": mtt / sdt,
        "theory": theory,
        "above_theory": mtt / sdt / theory - 1,
        "ratio_first_fixed": fixed[1] / fixed[0],
        "rounds": rounds,
    }


def main() -> None:
    """Measure every row and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted({name for name, _ in ROWS})
    parser.add_argument("--seconds", type=float, default=30.0, help="for each half of a row")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--networks", nargs="+", choices=names, default=names)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, threads {torch.get_num_threads()}, load {os.getloadavg()}")
    print("| network | MTT | SDT ms | MTT ms | ratio | theory | above | first fixed | rounds |")
    print("|---|---|---|---|---|---|---|---|---|")
    results = []
    for name, t_max in ROWS:
        if name not in options.networks:
            continue
        row = measure_row(name, t_max, options)
        results.append(row)
        print(
            f"| {name} | {SAMPLES}[1, {t_max}] | {row['sdt_ms']:.1f} | {row['mtt_ms']:.1f} |"
            f" {row['ratio']:.2f} | {row['theory']:.2f} | {100 * row['above_theory']:+.0f} % |"
            f" {row['ratio_first_fixed']:.2f} | {row['rounds']} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
