"""End commands at random moments, take away their disk, and look at what is left.

    python tests/support/faults.py [--rounds 50] [--seed 0] [--fault kill] [--command deploy]

After each round every file under its final name must be whole, and what was there before must be
there still or be replaced by a whole new one. After the next undisturbed run all must be as if
nothing had happened: the same program, spikes and weights, bit for bit, and nothing left behind.
"""

import argparse
import collections
import csv
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

warnings.simplefilter("ignore")
POLL = 0.002
LONGEST = 300  # seconds for one command, or
TIMES_LONGER = 50  # than undisturbed, since a machine may be busy
NOBODY = 65534
HALF = ("deploy", "convert", "compare", "train", "finetune")
FILES_OF_A_RUN = ("program.speck", "report.json", "report.html", "report.md", "layers.csv")


@dataclass
class Stage:
    """The folder of the rounds, with a network, its program, recordings and data.

    Args:
        folder: of all files.
        rng: draws the moments.
    """

    folder: Path
    rng: random.Random
    seconds: dict = field(default_factory=dict)

    def arguments(self, command):
        """Return the words of a command, which writes to `self.out(command)`."""
        out = str(self.out(command))
        data = ("--data", str(self.folder / "data"))
        training = (*data, "--t", "2", "--epochs", "2", "--batch-size", "4", "--threads", "1")
        return {
            "deploy": (
                "deploy",
                str(self.folder / "net.pt"),
                *data,
                "--samples",
                "3",
                "--board",
                "twin",
                "--threads",
                "1",
                "--out",
                out,
            ),
            "convert": (
                "convert",
                str(self.folder / "net.pt"),
                "--input-shape",
                "2,34,34",
                "-o",
                out,
            ),
            "compare": (
                "compare",
                *(str(self.folder / f"{n}.h5") for n in "ab"),
                "--json",
                "-o",
                out,
            ),
            "train": ("train", "--network", "fault_network:make", *training, "-o", out),
            "finetune": (
                "finetune",
                str(self.folder / "net.pt"),
                *training,
                "--samples-per-step",
                "1",
                "-o",
                out,
            ),
        }[command]

    def out(self, command):
        """Return what a command writes: a file, or the folder of a deployment."""
        suffix = {"deploy": "", "convert": ".speck", "compare": ".json"}.get(command, ".pt")
        return self.folder / "out" / command / f"result{suffix}"


def set_up(folder, seed):
    """Write the network, its program, two recordings and a small data set."""
    import numpy as np
    import torch
    from fault_network import make
    from made_up import played, random_stream, two_core_program

    import speckflex
    from speckflex.data.formats.nmnist import write_nmnist_file
    from speckflex.networks.files import save_network

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    save_network(make(), folder / "net.pt")
    for name in "ab":
        played(two_core_program(), rng, "twin" if name == "a" else "torch").save(
            folder / f"{name}.h5"
        )
    for split in ("Train", "Test"):
        for label in range(2):
            place = folder / "data" / split / str(label)
            place.mkdir(parents=True)
            for number in range(6):
                write_nmnist_file(place / f"{number}.bin", random_stream(rng, (2, 34, 34), 300))
    for command in HALF:
        (folder / "out" / command).mkdir(parents=True)
    speckflex.load_network(folder / "net.pt")
    return Stage(folder, random.Random(seed))  # noqa: S311 - no secret


def start(stage, arguments, prepare=lambda: None):
    """Start a command in a copy of this process, which has all imports behind it."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        log = os.open(stage.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        prepare()
        from speckflex.cli import main

        sys.argv = ["speckflex", *arguments]
        main(list(arguments), standalone_mode=True)
    except SystemExit as end:
        code = end.code or 0
    finally:
        # what waits in a buffer is of no use, and no handler of the parent may run here
        os._exit(code if isinstance(code, int) else 99)


def warm_up(stage, command):
    """Run a command in this process, so that its children have its imports and kernels."""
    from click.testing import CliRunner

    from speckflex.cli import main

    result = CliRunner().invoke(main, stage.arguments(command))
    assert result.exit_code == 0, result.output
    clean(stage, command)


def wait(child, until=None, number=signal.SIGKILL, longest=LONGEST):
    """Return the exit status of a child; end it by a signal at a moment, if one is given."""
    begin = time.monotonic()
    sent = False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - begin
        gone = time.monotonic() - begin
        if until is not None and gone > until and not sent:
            os.kill(child, number)
            sent = True
        if gone > longest:
            os.kill(child, signal.SIGKILL)
        time.sleep(POLL)


def run_with(stage, command, prepare=lambda: None, *, words=(), moment=None, number=signal.SIGKILL):
    """Return how a command ends, in the time that it may take after `prepare` in its process."""
    longest = max(LONGEST, TIMES_LONGER * stage.seconds.get(command, 0))
    child = start(stage, [*stage.arguments(command), *words], prepare)
    return wait(child, moment, number, longest)


def said(stage):
    """Return what the last command printed."""
    return (stage.folder / "log").read_text(errors="replace")


def problems_of(stage, command):
    """Return what is wrong with the files that lie under their final names."""
    import speckflex
    from speckflex._support.run_folder import unfinished
    from speckflex.errors import SpeckflexError
    from speckflex.report import read_report

    out = stage.out(command)
    found = []
    readers = {
        ".speck": lambda path: speckflex.Program.load(path).metadata.get("run"),
        ".h5": lambda path: speckflex.Recording.load(path).provenance.settings.get("run"),
        ".json": lambda path: read_report(path).run_id or None,
        ".md": _run_in_markdown,
        ".csv": _run_in_table,
        ".pt": lambda path: speckflex.load_network(path) and None,
        ".html": lambda path: None if path.read_text().rstrip().endswith("</html>") else 1 / 0,
    }
    files = [out] if out.is_file() else sorted(out.glob("*")) if out.is_dir() else []
    runs = set()
    for path in files:
        try:
            runs.add(readers.get(path.suffix, lambda _: None)(path))
        except (SpeckflexError, ZeroDivisionError, ValueError) as error:  # noqa: PERF203
            found.append(f"half a file {path.name}: {error}")
    if len(runs - {None}) > 1 and not unfinished(out):
        found.append("files of two runs in one folder, which nothing tells")
    if "Traceback" in said(stage):
        found.append("a traceback: " + said(stage).strip().splitlines()[-1])
    return found


def _run_in_markdown(path):
    found = re.search(r"^run (\w+) ", path.read_text(), re.MULTILINE)
    return found and found[1]


def _run_in_table(path):
    with path.open(newline="") as file:
        runs = {row["run"] for row in csv.DictReader(file)}
    return runs.pop() if len(runs) == 1 else 1 / 0


def results_of(stage, command):
    """Return what a command's result is, without times and names of runs."""
    import speckflex

    out = stage.out(command)
    if command == "deploy":
        names = sorted(path.name for path in out.iterdir())
        spikes = {}
        for path in out.glob("*.h5"):
            recording = speckflex.Recording.load(path)
            spikes[path.name] = [record.counts.tobytes() for record in recording.layers]
        return names, speckflex.Program.load(out / "program.speck").sha256, spikes
    if command == "convert":
        return out.read_bytes()
    if command == "compare":
        return json.loads(out.read_text())["layers"]
    state = speckflex.load_network(out).state_dict()
    return {name: value.numpy().tobytes() for name, value in state.items()}


def clean(stage, command):
    """Remove what a command wrote."""
    folder = stage.out(command).parent
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def left_behind(stage, command):
    """Return names that no undisturbed run leaves; parts of ended writers go after a minute."""
    out = stage.out(command)
    expected = {out.name, f"{out.name}.toml"}  # a training writes its settings beside
    names = {path.name for path in out.parent.iterdir()}
    if out.is_dir():
        names |= {path.name for path in out.iterdir() if path.name.startswith(".")}
    return {name for name in names - expected if not name.endswith(".partial")}


def again(stage, command):
    """Run a command to its end, from the checkpoint of the run before if there is one."""
    checkpoint = stage.out(command).with_name(stage.out(command).name + ".checkpoint")
    words = ["--resume", str(checkpoint)] if checkpoint.exists() else []
    code, _ = run_with(stage, command, words=words)
    return [] if code == 0 else [f"the next run ends with {code}: {said(stage)[-200:]}"]


def ended_by(number):
    """Return the fault of a signal at a random moment."""

    def fault(stage, command):
        moment = stage.rng.uniform(0.02, 1.0) * stage.seconds[command]
        code, _ = run_with(stage, command, moment=moment, number=number)
        return [] if code in {0, -number, 130} else [f"exit {code}: {said(stage)[-200:]}"]

    return fault


def full_disk(stage, command):
    """No file may grow beyond a random size, which has room for what is printed."""
    size = int(2 ** stage.rng.uniform(11, 17))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return _one_line(stage, *run_with(stage, command, limit))


def read_only(stage, command):
    """The folder, and all in it, is another user's."""
    folder = stage.out(command).parent
    if os.getuid():
        folder.chmod(0o555)
    code, _ = run_with(stage, command, _become_nobody)
    if os.getuid():
        folder.chmod(0o755)
    problems = _one_line(stage, code, 0)
    return problems if code else [*problems, "wrote into a folder of another user"]


def _become_nobody():
    if not os.getuid():
        os.setuid(NOBODY)


def no_home(stage, command):
    """There is no home, and no folder for caches."""

    def leave():
        for name in ("HOME", "XDG_CACHE_HOME", "USER", "TMPDIR"):
            os.environ.pop(name, None)
        os.environ["HOME"] = stage.rng.choice(("/nonexistent", "/dev/null", ""))

    code, _ = run_with(stage, command, leave)
    return [] if code == 0 else [f"exit {code}: {said(stage)[-200:]}"]


def two_writers(stage, command):
    """Two processes write the same at once."""
    first = start(stage, stage.arguments(command))
    time.sleep(stage.rng.uniform(0, 0.5) * stage.seconds[command])
    second = start(stage, stage.arguments(command))
    codes = sorted((wait(second)[0], wait(first)[0]))
    return [] if codes in ([0, 0], [0, 1]) else [f"exits {codes}: {said(stage)[-200:]}"]


def clock_jumps(stage, command):
    """The clock goes forward and back by days."""
    seed = stage.rng.random()

    def jump():
        rng, real = random.Random(seed), time.time  # noqa: S311 - no secret
        time.time = lambda: real() + rng.uniform(-1e6, 1e6)

    code, _ = run_with(stage, command, jump)
    return [] if code == 0 else [f"exit {code}: {said(stage)[-200:]}"]


def forks(stage, command):
    """A thread of the process forks children, and starts other programs, which end at once."""
    moments = [stage.rng.uniform(0, 1) * stage.seconds[command] for _ in range(3)]

    def keep_forking():
        import threading

        def work():
            for moment in sorted(moments):
                time.sleep(moment / 3)
                child = os.fork()
                if not child:
                    os._exit(0)
                os.waitpid(child, 0)
                subprocess.run(["/bin/true"], check=False)

        threading.Thread(target=work, daemon=True).start()

    code, _ = run_with(stage, command, keep_forking)
    return [] if code == 0 else [f"exit {code}: {said(stage)[-200:]}"]


def _one_line(stage, code, _seconds):
    text = said(stage).strip()
    if code == 0:
        return []
    if code in {1, 2} and text.splitlines()[-1].startswith("Error: "):
        return []
    return [f"exit {code}: {text[-200:]}"]


FAULTS = {
    "kill": ended_by(signal.SIGKILL),
    "term": ended_by(signal.SIGTERM),
    "full disk": full_disk,
    "read-only": read_only,
    "no home": no_home,
    "two writers": two_writers,
    "clock": clock_jumps,
    "forks": forks,
}
HEAD = (
    "| fault | command | rounds | half files, mixtures, tracebacks"
    " | other results after the next run | seconds |\n"
    "| --- | --- | ---: | ---: | ---: | ---: |"
)


def run_rounds(stage, fault, command, rounds, reference):
    """Return how many rounds there were, what was wrong at once, and what after the next run."""
    at_once, later = collections.Counter(), collections.Counter()
    for number in range(rounds):
        if number % 2:
            clean(stage, command)  # else an older result lies there
        before = bool(number % 2 == 0 and stage.out(command).exists())
        at_once.update(fault(stage, command))
        at_once.update(problems_of(stage, command))
        if before and not stage.out(command).exists():
            at_once["what was there before is gone"] += 1
        later.update(again(stage, command))
        if not later and results_of(stage, command) != reference:
            later["another result"] += 1
        left = left_behind(stage, command)
        if left:
            later[f"left behind: {sorted(left)}"] += 1
    return at_once, later


def main():
    """Run the rounds; exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="of each fault and command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", action="append", choices=FAULTS, help="(default: all)")
    parser.add_argument("--command", action="append", choices=HALF, help="(default: all)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    folder.chmod(0o755)
    stage = set_up(folder, options.seed)
    sys.stdout.write(f"{HEAD}\n")
    failed = False
    for command in options.command or HALF:
        warm_up(stage, command)
        code, stage.seconds[command] = run_with(stage, command)
        assert code == 0, said(stage)
        reference = results_of(stage, command)
        for name in options.fault or FAULTS:
            begin = time.monotonic()
            at_once, later = run_rounds(stage, FAULTS[name], command, options.rounds, reference)
            cells = (name, command, options.rounds, sum(at_once.values()), sum(later.values()))
            row = " | ".join(map(str, cells))
            sys.stdout.write(f"| {row} | {time.monotonic() - begin:.0f} |\n")
            for what, number in (at_once + later).most_common(5):
                failed = True
                sys.stdout.write(f"    {number} x {what}\n")
            sys.stdout.flush()
    shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
