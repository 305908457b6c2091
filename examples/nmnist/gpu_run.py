"""Everything that a GPU can show in some minutes, in one run.

    python examples/nmnist/gpu_run.py --data FOLDER --out FOLDER [--minutes 8] [--recordings N]

FOLDER of --data has `mnist` (the test images and labels, .gz) and `nmnist` (with `Train` in it).
Four parts share the machine, each job in a process of its own with its own time limit:

- the twin on the GPU against the twin on the CPU, equality and speed;
- the paper's SDT, NMT and MTT from first weights, three seeds, on simulated recordings alone;
- the board in the loop on simulated recordings alone, three seeds;
- the same networks trained on with real recordings, in five folds: each real recording is judged
  by a network that has not seen it.

The results are written every few seconds, also of jobs that are not done: `results.json` with
every setting and epoch, `predictions.json` with every answer, `results.md` with the tables. A job
that fails stops no other. Without a GPU the same runs on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SEEDS = (1000, 2000, 3000)
METHODS = ("sdt", "nmt", "mtt")
COPIES = 2
# Ends of the parts, as shares of the whole time.
TWIN_ENDS, FIRST_ENDS, ALONE_ENDS, SECOND_ENDS, WAIT_ENDS = 0.12, 0.66, 0.86, 0.93, 0.97


@dataclass
class Plan:
    """The jobs that wait and those that run.

    Args:
        options: of the command line.
        work: folder of the jobs' files.
        started: seconds of the clock.
        device: "cuda" or "cpu".
        running: job name to process.
        begun: names of all jobs that were started.
    """

    options: argparse.Namespace
    work: Path
    started: float
    device: str
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)

    def at(self, share: float) -> float:
        """Return the clock's seconds at a share of the whole time."""
        return self.started + share * 60 * self.options.minutes

    def start(self, kind: str, name: str, share: float, *, nice: int = 0, **rest: Any) -> None:
        """Start a job unless it was started before."""
        if name in self.begun:
            return
        job = {"kind": kind, "name": name, "work": str(self.work), "until": self.at(share)}
        job |= {"device": self.device, "nice": nice, **rest}
        path = self.work / f"job-{name}.json"
        path.write_text(json.dumps(job))
        threads = str(job.get("threads", 1))
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        log = (self.work / f"{name}.log").open("wb")
        self.running[name] = subprocess.Popen(  # noqa: S603 - a script of this folder
            [sys.executable, str(HERE / "gpu_jobs.py"), str(path)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        self.begun.append(name)

    def result(self, name: str) -> dict[str, Any]:
        """Return what a job has written so far."""
        path = self.work / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    @property
    def first_ends(self) -> float:
        """The end of the first trainings, as a share of the time."""
        return FIRST_ENDS if self.options.folds else ALONE_ENDS

    def reap(self) -> None:
        """Forget the jobs that have ended."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                del self.running[name]

    def stop(self) -> None:
        """End what still runs."""
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait()
        self.running.clear()


def main() -> int:
    """Run all parts and write their tables; return 1 if a job failed."""
    options = read_options()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-run-") as folder:
        plan = Plan(options, Path(folder), time.time(), find_device())
        try:
            run(plan)
        finally:
            plan.stop()
            report(plan)
        failed = [name for name in plan.begun if not plan.result(name).get("done")]
    print(f"{len(plan.begun)} jobs, not done: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def run(plan: Plan) -> None:
    """Start each job when what it needs is there, until all have ended or the time is over."""
    options = plan.options
    cores = len(os.sched_getaffinity(0))
    # the simulation runs beside the twin's comparison and the compilation
    shown = {"data": str(options.data), "images": options.recordings, "copies": options.copies}
    shown["sensor"] = options.sensor
    plan.start("simulate", "simulate", plan.first_ends, processes=max(cores - 2, 1), **shown)
    reported = 0.0
    while plan.running or not plan.begun:
        time.sleep(0.5)
        plan.reap()
        if (plan.work / "real-labels.npy").exists():
            plan.start("twin", "twin", TWIN_ENDS)
            plan.start("warm", "warm", plan.first_ends)
        if plan.result("simulate").get("done") and "warm" not in plan.running:
            # with bases the board's trainings stay off the GPU, beside one core for each row
            free = cores - 1 - (len(options.methods) * len(options.seeds) if options.bases else 0)
            start_first(plan, max(free // len(options.seeds), 1))
        for seed in options.seeds:
            if "twin" in plan.result(f"board-{seed}"):
                for fold in range(options.folds):
                    name = f"real-{seed}-{fold}"
                    rest = {"seed": seed, "fold": fold, "copies": options.copies}
                    # so many processes on one GPU wait for each other
                    plan.start("real", name, SECOND_ENDS, **{**rest, "device": "cpu"})
        if time.time() > plan.at(WAIT_ENDS):
            return
        if time.time() > reported + 5:
            try:
                report(plan)
            except Exception:  # noqa: BLE001  what runs is worth more than what is known so far
                traceback.print_exc()
            reported = time.time()


def start_first(plan: Plan, threads: int) -> None:
    """Start the jobs that train from first weights; those with the board come first."""
    options, ends = plan.options, plan.first_ends
    for seed in options.seeds:
        rest = {"seed": seed, "copies": options.copies, "threads": threads}
        if options.bases:
            rest |= {"base": str(options.bases / f"base-{seed}.pt"), "device": "cpu"}
        plan.start("board", f"board-{seed}", ends, **rest)
    if options.vary:
        seed = options.seeds[0]
        rest = {"seed": seed, "copies": options.copies, "threads": threads}
        plan.start("board", f"vary-{seed}", ends, vary=options.vary, **rest)
    for method in options.methods:
        for seed in options.seeds:
            name = f"paper-{method}-{seed}"
            plan.start("paper", name, ends, nice=5, method=method, seed=seed)


def find_device() -> str:
    """Return "cuda" where torch finds a GPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def report(plan: Plan) -> None:
    """Write what is known of all jobs."""
    from gpu_tables import tables

    results = {name: plan.result(name) for name in plan.begun}
    for name, content in results.items():
        epochs = sorted(plan.work.glob(f"{name}-*.jsonl"))
        for path in epochs:
            part = path.stem.removeprefix(f"{name}-")
            lines = path.read_text().splitlines()
            content.setdefault(part, [json.loads(line) for line in lines])
        if not content.get("done"):
            log = plan.work / f"{name}.log"
            content["log"] = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    words = ("predictions", "labels", "positions")
    answers = {
        name: {key: value for key, value in content.items() if key.endswith(words)}
        for name, content in results.items()
    }
    rest = {
        name: {key: value for key, value in content.items() if not key.endswith(words)}
        for name, content in results.items()
    }
    about = {
        "device": plan.device,
        "cores": len(os.sched_getaffinity(0)),
        "minutes": plan.options.minutes,
        "seconds": round(time.time() - plan.started),
        "recordings": plan.options.recordings,
        "copies": plan.options.copies,
        "sensor": plan.options.sensor,
        **versions(),
    }
    write(plan.options.out / "results.json", json.dumps({"about": about, "jobs": rest}, indent=1))
    write(plan.options.out / "predictions.json", json.dumps(answers))
    write(plan.options.out / "results.md", tables(about, results))


def versions() -> dict[str, str]:
    """Return the versions of what computes, and the name of the GPU."""
    from importlib.metadata import version

    import torch

    names = ("speckflex", "torch", "numba", "numpy", "sinabs")
    found = {name: version(name) for name in names}
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist and nmnist")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, default=8.0, help="wall clock (default: 8)")
    parser.add_argument("--recordings", type=int, default=9900, help="images to simulate")
    parser.add_argument(
        "--copies", type=int, default=3, help="of each image, from the second on distorted"
    )
    parser.add_argument("--sensor", choices=["plain", "fitted", "both"], default="both")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--methods", nargs="*", default=list(METHODS), help="rows of the paper")
    parser.add_argument("--bases", type=Path, help="folder with base-SEED.pt for the board")
    parser.add_argument("--folds", type=int, default=5, help="with real recordings; 0 for none")
    parser.add_argument(
        "--vary", default="", help="of one more network, such as order,jitter,drop=0.2"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
