"""Change valid files at random, read them, and watch for all that a reader must not do.

    python tests/support/fuzz_files.py [--cases 2000] [--seed 0] [--door pt --door nir ...]

A reader must end with a result or with a SpeckflexError: in one line of printable characters, in
time, within memory, and without ending the process. Each door runs in a process of its own. A case
that fails is kept in a folder that is named at the end. With `--guided` the cases come from
atheris, which follows the lines that a case reaches, if it is installed (`pip install atheris`).
"""

import argparse
import collections
import contextlib
import functools
import gzip
import io
import json
import multiprocessing
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

FILES = Path(__file__).parents[1] / "files"
MOST_SECONDS = 20
LONGEST_SILENCE = 900  # of a process; the first case waits for imports and kernels
MOST_MEMORY = 2 << 30  # bytes that a single case may add
ADDRESS_SPACE = 16 << 30  # bytes, so that a case that takes more fails in its own process
LONGEST = 6000  # characters of a message
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1)
ABSURD = (
    None,
    True,
    -1,
    0,
    1e400,
    float("nan"),
    10**30,
    2**63,
    "x" * 3000,
    "\x1b[31m",
    [],
    {},
    [1],
)


def content_of(path):
    """Return the content of a file, unpacked where it is kept packed."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def files(folder, pattern):
    """Return the contents of the files of other tools that the tests read."""
    return [content_of(path) for path in sorted((FILES / folder).glob(pattern))]


def changed_bytes(content, rng):
    """Return the content with a few bytes changed, moved, added or cut off."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        size = len(content)
        if not size:
            break
        # heads and tails hold headers and directories
        place = rng.choice(
            (
                rng.randrange(size),
                rng.randrange(min(size, 4096)),
                size - 1 - rng.randrange(min(size, 2048)),
            )
        )
        kind = rng.randrange(7)
        if kind == 0:
            content[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[place] = rng.randrange(256)
        elif kind == 2:
            del content[place:]
        elif kind == 3:
            content[place:place] = rng.randbytes(rng.choice((1, 3, 17)))
        elif kind == 4:
            del content[place : place + rng.choice((1, 2, 8, 100))]
        elif kind == 5:
            width = rng.choice((1, 2, 4, 8))
            number = rng.choice(NUMBERS) % (1 << 8 * width)
            content[place : place + width] = number.to_bytes(width, rng.choice(("little", "big")))
        else:
            other = rng.randrange(size)
            content[place : place + 32] = content[other : other + 32]
    return bytes(content)


def changed_json(content, rng):
    """Return a JSON text with one value replaced by an absurd one, or one name by another."""
    tree = json.loads(content)
    places = []

    def walk(node):
        for key in range(len(node)) if isinstance(node, list) else list(node):
            places.append((node, key))
            if isinstance(node[key], list | dict):
                walk(node[key])

    walk(tree)
    if places:
        node, key = rng.choice(places)
        if rng.random() < 0.2:
            del node[key]
        else:
            node[key] = rng.choice(ABSURD)
    return json.dumps(tree).encode()


def changed(content, rng):
    """Return the content changed, in half of the cases behind the zip or JSON that it comes in."""
    if rng.random() < 0.5:
        return changed_bytes(content, rng)
    if content[:1] == b"{":
        try:
            return changed_json(content, rng)
        except ValueError:  # a row of JSON texts
            lines = content.splitlines()
            chosen = rng.randrange(len(lines))
            return b"\n".join(
                changed_json(line, rng) if number == chosen else line
                for number, line in enumerate(lines)
            )
    if content[:2] != b"PK":
        return changed_bytes(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = [(info.filename, old.read(info)) for info in old.infolist()]
    chosen = rng.randrange(len(members))
    name, member = members[chosen]
    change = changed_json if member[:1] == b"{" and rng.random() < 0.7 else changed_bytes
    members[chosen] = (name, change(member, rng))
    packed = io.BytesIO()
    with zipfile.ZipFile(
        packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as new:
        for name, member in members:
            new.writestr(name, member)
    return packed.getvalue()


@dataclass
class Findings:
    """What happened to the cases of one door."""

    door: str
    cases: int = 0
    read: int = 0
    refused: int = 0
    wrong: collections.Counter = field(default_factory=collections.Counter)
    seconds: float = 0.0
    memory: int = 0

    def line(self):
        """Return the findings as a row of the table."""
        kinds = [
            sum(n for what, n in self.wrong.items() if what.startswith(kind)) for kind in KINDS
        ]
        cells = [self.door, self.cases, self.read, self.refused, *kinds]
        return "| " + " | ".join(map(str, cells)) + f" | {self.seconds:.0f} | {self.memory >> 20} |"


KINDS = ("traceback", "message", "hang", "memory", "crash")
HEAD = (
    "| door | inputs | read | refused | tracebacks | bad messages | hangs | over 2 GB | crashes"
    " | seconds | peak MB |\n| --- |" + " ---: |" * 10
)


class OutOfTimeError(BaseException):
    """A case takes too long; no handler for errors takes it."""


def run_out(*_):
    """Answer the alarm."""
    raise OutOfTimeError


def peak():
    """Return the most bytes that this process ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def problem_of(read, path, findings):
    """Return what is wrong with how a file is read; "" if nothing is."""
    from speckflex.errors import SpeckflexError

    before = peak()
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        read(path)
        findings.read += 1
    except SpeckflexError as error:
        findings.refused += 1
        message = str(error)
        if not message.isprintable() or len(message) > LONGEST:
            return f"message {type(error).__name__} {message[:80]!a}"
    except OutOfTimeError:
        return f"hang over {MOST_SECONDS} s"
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        own = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if "speckflex/" in frame.filename
        ]
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
        return f"traceback {type(error).__name__} at {place}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return f"memory of {path.suffix}" if peak() - before > MOST_MEMORY else ""


def run_door(door, cases, seed, folder, report=lambda _: None):
    """Return the findings of some cases of a door; cases that fail are kept in `folder`."""
    warnings.simplefilter("ignore")
    rng = random.Random(f"{door.name} {seed}")  # noqa: S311 - no secret
    findings = Findings(door.name)
    seeds = door.seeds(folder)
    assert seeds, door.name
    path = folder / f"changed-{door.name}{door.suffix}"
    # what is loaded at the first call counts for no case
    for content in seeds:
        path.write_bytes(content)
        door.read(path)
    begin = time.monotonic()
    signal.signal(signal.SIGALRM, run_out)
    for number in range(cases):
        path.write_bytes(changed(rng.choice(seeds), rng))
        report(findings)
        problem = problem_of(door.read, path, findings)
        findings.cases += 1
        if problem:
            findings.wrong[problem] += 1
            if findings.wrong[problem] == 1:
                shutil.copy(path, folder / f"{door.name}-{number}{door.suffix}")
    findings.seconds, findings.memory = time.monotonic() - begin, peak()
    return findings


def run_apart(door, cases, seed, folder):
    """Return the findings of a door that runs in a process of its own, which may end."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(door.name, cases, seed, folder, there))
    process.start()
    there.close()
    last = Findings(door.name)
    ended = False
    while not ended:
        if not here.poll(LONGEST_SILENCE):
            process.kill()
            last.wrong["hang beyond the alarm"] += 1
            break
        try:
            last, ended = here.recv()
        except EOFError:
            process.join()
            last.wrong[f"crash with exit {process.exitcode}"] += 1
            kept = folder / f"{door.name}-crash{door.suffix}"
            shutil.copy(folder / f"changed-{door.name}{door.suffix}", kept)
            break
    process.join()
    return last


def _work(name, cases, seed, folder, pipe):
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    with contextlib.redirect_stderr(io.StringIO()):
        findings = run_door(
            DOORS[name], cases, seed, folder, lambda so_far: pipe.send((so_far, False))
        )
    pipe.send((findings, True))


@dataclass(frozen=True)
class Door:
    """A reader of files.

    Args:
        name: of the door.
        suffix: of its files.
        seeds: returns contents of valid files, which it may write into a folder first.
        read: reads a file.
    """

    name: str
    suffix: str
    seeds: object
    read: object


def read_network(path):
    """Read a model file, or its weights into a small network."""
    import speckflex

    speckflex.load_network(path)


def read_weights(path):
    """Read the weights of a file into the network that they belong to."""
    import speckflex

    speckflex.load_network(path, factory="fuzz_networks:two_layers")


def read_program(path):
    """Read a program."""
    import speckflex

    speckflex.Program.load(path)


def read_recording(path):
    """Read a recording, and compare it with itself."""
    import speckflex

    recording = speckflex.Recording.load(path)
    if recording.layers:
        speckflex.compare(recording, recording)


def read_events(path):
    """Read the first recordings of a file of events."""
    from speckflex.data import open_dataset

    # an .aedat does not say which camera it is of
    named = {"sensor": (260, 346)} if path.suffix == ".aedat" else {}
    dataset = open_dataset(path, **named)
    for index in range(min(len(dataset), 3)):
        dataset[index]


def read_gestures(path):
    """Read a recording of DVS-Gesture."""
    from speckflex.data.formats.dvs_gesture import read_gesture_file

    read_gesture_file(path)


def read_images(path):
    """Read a file of MNIST."""
    from speckflex.data.formats._idx import read_idx

    read_idx(path)


def read_report_file(path):
    """Read a report, and show it in all forms."""
    from speckflex.report import read_report, render_json, render_text

    report = read_report(path)
    render_text(report)
    render_json(report)


def read_golden(path):
    """Read a program with its known answers, and play them."""
    from speckflex import open_board
    from speckflex.analysis.golden import verify_board
    from speckflex.program.golden import Golden

    program, golden = _program_class().load(path), Golden.load(path)
    if golden is not None:
        with open_board("twin") as board:
            verify_board(board, program, golden)


def _program_class():
    import speckflex

    return speckflex.Program


def read_probe(path):
    """Open a twin with what a file says of a board, and settle a virtual devkit's choices."""
    from speckflex import open_board
    from speckflex.boards.probe_file import ProbeFile
    from speckflex.boards.virtual import as_probed

    as_probed(ProbeFile.load(path), None, None)
    with open_board("twin", probe=path):
        pass


def read_shards(path):
    """Make a report of one shard, and show it."""
    from speckflex.deployment.describe import describe_file
    from speckflex.deployment.shards import merge_shards
    from speckflex.report import render_json

    merged = merge_shards([path])
    render_json(merged.deployment.report)
    describe_file(path)


def read_options(path):
    """Give a command a file of its options, and check how it ends."""
    _check_command(["train", "--config", str(path)])


def read_journal(path):
    """Open the storage of a sweep, and list its trials."""
    from speckflex.training.sweep.study import best_row, open_study, rows_of

    # a sweep writes into its storage
    copy = path.with_name(f"copy{path.suffix}")
    shutil.copy(path, copy)
    storage = f"sqlite:///{copy}" if path.read_bytes()[:6] == b"SQLite" else copy
    try:
        study = open_study(storage, _plan())
        best_row(rows_of(study, _plan()))
    finally:
        copy.unlink()


def read_metrics(path):
    """Read a metrics file, as `compare` and as `info` do."""
    from speckflex.deployment.describe import describe_file
    from speckflex.report import trend_of_metrics

    trend_of_metrics([path, path])
    describe_file(path)


def read_checkpoint(path):
    """Let a training continue from a file."""
    from speckflex.training.checkpoint import restore_run

    restore_run(_training(), path)


@functools.cache
def _training():
    import torch
    from fuzz_networks import two_layers

    from speckflex.training import FrameSet, TrainingData, TrainingSettings, open_fabric
    from speckflex.training._run import start_run

    frames = torch.ones((4, 2, 2, 8, 8), dtype=torch.uint8)
    data = FrameSet(frames, torch.tensor([0, 1, 0, 1]))
    return start_run(
        two_layers(), TrainingData(data, data), TrainingSettings(t_max=2), open_fabric()
    )


def _check_command(arguments):
    """Run a command in this process, and check how it ends."""
    from click.testing import CliRunner

    from speckflex.cli import main

    result = CliRunner().invoke(main, arguments)
    ended = isinstance(result.exception, SystemExit) or result.exception is None
    if not ended:
        raise result.exception
    if result.exit_code not in {0, 1, 2, 3, 4}:
        raise AssertionError(f"exit {result.exit_code}")
    if "Traceback" in result.output or "\x1b" in result.output:
        raise AssertionError(f"output of {arguments[:1]}")


def read_by_command(path):
    """Give a file to a command, and check how the command ends."""
    rng = random.Random(path.read_bytes()[:200])  # noqa: S311 - no secret
    command = rng.choice(COMMANDS)
    arguments = [str(path) if word == "FILE" else word for word in command]
    if rng.random() < 0.3:
        arguments.insert(rng.randrange(1, len(arguments) + 1), rng.choice(ODD_WORDS))
    _check_command(arguments)


COMMANDS = (
    ("info", "FILE"),
    ("info", "FILE", "--json"),
    ("check", "FILE"),
    ("check", "FILE", "--input-shape", "2,8,8", "--json"),
    ("convert", "FILE", "--input-shape", "2,8,8", "-o", "/dev/null"),
    ("compare", "FILE", "FILE"),
    ("view", "FILE"),
    ("fold", "FILE", "-o", "/dev/null"),
    ("evaluate", "FILE", "--data", "FILE", "--t", "1"),
)
ODD_WORDS = ("--input-shape=0,0,0", "--chip=\x1b[2J", "--samples=-1", "", "--", "é\u202e", "--json")


def seed_models(_):
    """Return whole modules of several tools."""
    return [*files("models", "torch-module.pt.gz"), _own("network")]


def _own(kind):
    from made_up import played, two_core_program

    program = two_core_program()
    with tempfile.TemporaryDirectory() as folder:
        if kind == "program":
            program.save(Path(folder) / "a.speck")
            return (Path(folder) / "a.speck").read_bytes()
        if kind == "network":
            from fuzz_networks import two_layers

            from speckflex.networks.files import save_network

            save_network(two_layers(), Path(folder) / "a.pt")
            return (Path(folder) / "a.pt").read_bytes()
        import numpy as np

        recording = played(program, np.random.default_rng(0), "twin")
        if kind == "recording":
            recording.save(Path(folder) / "a.h5")
            return (Path(folder) / "a.h5").read_bytes()
        from speckflex.report import build_report, render_json

        return render_json(build_report(program, {"twin": recording})).encode()


def _weights(_):
    import torch
    from fuzz_networks import two_layers

    state = two_layers().state_dict()
    new, old = io.BytesIO(), io.BytesIO()
    torch.save(state, new)
    torch.save({"epoch": 3, "state_dict": state}, old, _use_new_zipfile_serialization=False)
    return [new.getvalue(), old.getvalue()]


def _checkpoints(folder):
    """Return the checkpoint of a training after one epoch."""
    import torch

    from speckflex.training.checkpoint import save_run
    from speckflex.training.metrics import EpochMetrics

    run = _training()
    for weights in run.mixed.parameters():
        weights.grad = torch.ones_like(weights)
    run.optimiser.step()
    run.schedule.step()
    run.record(EpochMetrics(1, 0.5, 0.5, 0.5, 0.5, 0.001, 1.0))
    save_run(run, folder / "seed.checkpoint")
    return [(folder / "seed.checkpoint").read_bytes()]


def _metrics(_):
    epochs = [{"epoch": n, "loss": 0.5, "validation_accuracy": 0.5} for n in (1, 2)]
    tests = [{"test": "a::b", "board": "twin", "program_sha256": "", "spikes": n} for n in (1, 2)]
    return [
        "".join(json.dumps(line) + "\n" for line in lines).encode() for lines in (epochs, tests)
    ]


def _golden(folder):
    import numpy as np
    from made_up import random_stream, two_core_program

    from speckflex.analysis.golden import make_golden

    program, rng = two_core_program(), np.random.default_rng(0)
    shape = program.input.shape
    golden = make_golden(program, [random_stream(rng, shape, 50) for _ in range(2)])
    program.save(folder / "golden.speck", golden=golden)
    return [(folder / "golden.speck").read_bytes()]


def _probes(folder):
    """Return findings about settings of the twin and of a virtual devkit, and a measurement."""
    from speckflex.boards.probe_file import Finding, ProbeFile

    findings = (
        Finding("output_order", "which order?", "-y-x+c", ("-y-x+c", "+c+y+x"), {"spikes": 4}),
        Finding("overflow", "what then?", "wrap", ("wrap", "saturate"), [1, 2.5, None]),
        Finding("readout_bit_20", "what bit?", "valid", ("valid", "maximum above threshold")),
        Finding("slow_clock_period", "how long?", observed={"us": 12.5}),
        Finding("mirror_frame", "which?", problem="not run: 280 s were over"),
    )
    board = {"name": "speck2f:0", "chip": "speck2f", "serial": "1"}
    found = ProbeFile(board, "2026-01-01T00:00:00+00:00", 1.5, findings, "0.1.0")
    found.save(folder / "probe.json")
    return [(folder / "probe.json").read_bytes()]


def _shards(folder):
    import numpy as np
    from made_up import random_stream, two_core_program

    from speckflex.data import EventDataset
    from speckflex.deployment.deploy import DeploySettings
    from speckflex.deployment.shards import Shard, ShardRun, deploy_shard

    program, rng = two_core_program(), np.random.default_rng(0)
    shape = program.input.shape
    items = tuple(random_stream(rng, shape, 50) for _ in range(4))
    dataset = EventDataset(
        name="made up",
        shape=shape,
        classes=("a", "b"),
        labels=np.array([0, 1, 0, 1]),
        synthetic=True,
        items=tuple(range(4)),
        read=items.__getitem__,
    )
    run = ShardRun(Shard.parse("1/2"), folder / "shards")
    (folder / "shards").mkdir()
    settings = DeploySettings(batch=1, threads=1)
    deploy_shard(program, dataset, "twin", run, settings=settings)
    (path,) = (folder / "shards").iterdir()
    return [path.read_bytes()]


OPTIONS = b"""# speckflex
network = "nmnist-3c1fc"
data = "/nonexistent"
t = 4
lr = 0.001
batch-size = 8
milestones = ["1", "2"]
augment = ["shift:2", "flip"]
clip-weights = true
epochs = 5
seed = 0
"""


def _plan():
    from speckflex.training.sweep.axes import Axis
    from speckflex.training.sweep.study import Plan

    return Plan((Axis.parse("lr=0.001..0.1:log"),), 3, about={"data": "made up"})


def _journals(folder):
    from speckflex.training.sweep.study import open_study, run_study
    from speckflex.training.sweep.trial import OnTwin

    contents = []
    for name, url in (("sweep.log", folder / "sweep.log"), ("db", f"sqlite:///{folder / 'db'}")):
        study = open_study(url, _plan())
        run_study(study, _plan(), lambda values, _: OnTwin(values["learning_rate"], 1e3))
        contents.append((folder / name).read_bytes())
    return contents


def _tensors(_):
    from fuzz_networks import two_layers

    values, entries = b"", {}
    for name, tensor in two_layers().state_dict().items():
        content = tensor.numpy().tobytes()
        entries[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(values), len(values) + len(content)],
        }
        values += content
    text = json.dumps(entries).encode()
    return [len(text).to_bytes(8, "little") + text + values]


def _events():
    import numpy as np
    from made_up import random_stream

    return random_stream(np.random.default_rng(0), (2, 34, 34), 200)


def _npy(_):
    import numpy as np

    whole, rows = io.BytesIO(), io.BytesIO()
    np.save(whole, _events())
    np.save(rows, np.stack([_events()[name].astype(float) for name in "txyp"], axis=1))
    return [whole.getvalue(), rows.getvalue()]


def _npz(_):
    import numpy as np

    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, a=_events(), b=_events()[:50], labels=np.array([0, 1]))
    np.savez_compressed(packed, **{name: _events()[name] for name in "txyp"})
    return [plain.getvalue(), packed.getvalue()]


def _hdf5(_):
    import h5py

    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        for name in "txyp":
            file.create_dataset(f"events/{name}", data=_events()[name], compression="gzip")
    return [made.getvalue()]


def _gestures(folder):
    from speckflex.data.formats.dvs_gesture import write_gesture_file

    write_gesture_file(folder / "seed.npy", _events())
    return [(folder / "seed.npy").read_bytes()]


def _five_bytes(folder):
    from speckflex.data.formats.nmnist import write_nmnist_file

    write_nmnist_file(folder / "seed.bin", _events())
    return [(folder / "seed.bin").read_bytes()]


def _images(_):
    body = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in (2, 28, 28))
    body += bytes(range(224)) * 7
    return [body, gzip.compress(body)]


def _for_commands(_):
    return [_own(kind) for kind in ("program", "network", "recording", "report")] + _npy(None)


DOORS = {
    door.name: door
    for door in (
        Door("pt", ".pt", seed_models, read_network),
        Door("weights", ".pt", _weights, read_weights),
        Door("safetensors", ".safetensors", _tensors, read_weights),
        Door(
            "nir",
            ".nir",
            lambda _: files("nir", "nir-1.0.8.nir.gz") + files("nir", "sinabs.nir.gz"),
            read_network,
        ),
        Door("onnx", ".onnx", lambda _: files("models", "torch-onnx.onnx.gz"), read_network),
        Door("speck", ".speck", lambda _: [_own("program")], read_program),
        Door("recording", ".h5", lambda _: [_own("recording")], read_recording),
        Door("report", ".json", lambda _: [_own("report")], read_report_file),
        Door("metrics", ".jsonl", _metrics, read_metrics),
        Door("golden", ".speck", _golden, read_golden),
        Door("shard", ".shard", _shards, read_shards),
        Door("probe", ".json", _probes, read_probe),
        Door("config", ".toml", lambda _: [OPTIONS], read_options),
        Door("sweep", ".log", _journals, read_journal),
        Door("checkpoint", ".checkpoint", _checkpoints, read_checkpoint),
        Door("npy", ".npy", _npy, read_events),
        Door("npz", ".npz", _npz, read_events),
        Door("hdf5", ".h5", _hdf5, read_events),
        Door("csv", ".csv", lambda _: files("events", "*.csv"), read_events),
        Door("raw", ".raw", lambda _: files("events", "*.raw"), read_events),
        Door("dat", ".dat", lambda _: files("events", "*.dat"), read_events),
        Door("aedat", ".aedat", lambda _: files("events", "*.aedat"), read_events),
        Door("aedat4", ".aedat4", lambda _: files("events", "*.aedat4"), read_events),
        Door("es", ".es", lambda _: files("events", "*.es"), read_events),
        Door("bin", ".bin", _five_bytes, read_events),
        Door("gesture", ".npy", _gestures, read_gestures),
        Door("idx", ".gz", _images, read_images),
        Door("command", "", _for_commands, read_by_command),
    )
}


def run_guided(door, cases, folder):
    """Run one door under atheris, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=["speckflex"]):
        import speckflex

        speckflex.load_network  # noqa: B018 - imports what it needs
    findings = Findings(door.name)
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(door.seeds(folder)):
        (corpus / str(number)).write_bytes(content)
    path = folder / f"guided{door.suffix}"

    def once(content):
        path.write_bytes(content)
        problem = problem_of(door.read, path, findings)
        if problem:
            raise RuntimeError(problem)

    signal.signal(signal.SIGALRM, run_out)
    atheris.Setup([sys.argv[0], f"-runs={cases}", str(corpus)], once)
    atheris.Fuzz()


def main():
    """Run the doors; exit with 1 if one lets anything out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000, help="of each door")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--door", action="append", choices=DOORS, help="(default: all)")
    parser.add_argument("--guided", action="store_true", help="one door, under atheris")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    if options.guided:
        run_guided(DOORS[options.door[0]], options.cases, folder)
    sys.stdout.write(f"{HEAD}\n")
    failed = False
    for name in options.door or DOORS:
        findings = run_apart(DOORS[name], options.cases, options.seed, folder)
        sys.stdout.write(f"{findings.line()}\n")
        for what, number in findings.wrong.most_common():
            failed = True
            sys.stdout.write(f"    {number} x {what}\n")
        sys.stdout.flush()
    if failed:
        sys.stdout.write(f"the first case of each kind is in {folder}\n")
    else:
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
