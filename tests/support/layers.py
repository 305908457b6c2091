"""Install each layer of the package in a fresh environment, run its commands and print a table.

    python tests/support/layers.py                          # the core and each extra
    python tests/support/layers.py core data --python python3.12
    python tests/support/layers.py --sdist                  # only build, and compare with git

The wheel is built from the sdist, and the sdist has to hold every file that git knows.
`--torch` is installed first where a layer needs torch: a CPU build that pip can see is then kept.
"""

import argparse
import gzip
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "speckflex" / "models" / "synthetic-digits.pt"
FILES = ROOT / "tests" / "files"
# Written by the build, and known to git alone.
OF_BUILDS = ("PKG-INFO", "setup.cfg", "speckflex.egg-info/")
DIGITS = ("--data", "synthetic-digits", "--samples", "2")
MAKE_PROGRAM = """
import numpy as np
from speckflex.analysis.golden import make_golden
from speckflex.data import open_dataset
from speckflex.fitting.placement import place_layers
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage
weights = np.random.default_rng(0).integers(-20, 50, (10, 2, 6, 6), dtype=np.int8)
core = Core("conv", weights, 100, -100, input_shape=(2, 34, 34), stride=(4, 4))
program = place_layers(Program((core,), InputStage((2, 34, 34))))
events = [open_dataset("synthetic-digits")[0][0]]
program.save("p.speck", golden=make_golden(program, events))
"""

# Commands on `p.speck`, recordings or runs, in this order; none needs an extra.
CORE = {
    "deploy": ("deploy", "p.speck", "--board", "twin", *DIGITS, "--out", "run"),
    "deploy on a devkit": (
        *("deploy", "p.speck", "--board", "virtual:speck2e", *DIGITS),
        *("--out", "virtual", "--ensemble", "2", "--rate", "2e7"),
    ),
    "check": ("check", "p.speck", *DIGITS, "--diagram", "p.svg"),
    "verify": ("verify", "p.speck", "--board", "twin"),
    "export": ("export", "p.speck", "-o", "p.json"),
    "convert": ("convert", "p.speck", "-o", "p.nir"),
    "info": ("info", "run"),
    "report": ("report", "run"),
    "compare": ("compare", "run/recording-twin.h5", "virtual/recording-chip.h5"),
    "compare reports": ("compare", "run/report.json", "virtual/report.json"),
    "view": ("view", "synthetic-digits", "--samples", "2"),
    "boards": ("boards",),
    "doctor": ("doctor",),
}
# A recording that is compressed by a codec of a plugin.
MAKE_COMPRESSED = """
import hdf5plugin, h5py, numpy as np
with h5py.File("c.h5", "w") as file:
    for name, values in zip("txyp", np.array([[10, 20], [3, 4], [5, 6], [0, 1]])):
        file.create_dataset(f"events/{name}", data=values, **hdf5plugin.Blosc())
"""
TRAIN = ("train", "--data", "synthetic-digits", "--samples", "40", "--t", "2", "--epochs", "1")
TORCH = {
    "demo": ("demo", "--samples", "2", "--out", "demo"),
    "check": ("check", "n.pt", "--input-shape", "2,34,34"),
    "explain": ("deploy", "n.pt", "--board", "twin", *DIGITS, "--explain"),
    "convert": (
        "convert",
        "n.pt",
        "--input-shape",
        "2,34,34",
        "-o",
        "n.speck",
        "--golden",
        "synthetic-digits",
    ),
    "fold": ("fold", "n.pt", "-o", "f.pt"),
    "evaluate": ("evaluate", "n.pt", "--t", "2", *DIGITS),
    "train": (*TRAIN, "-o", "t.pt"),
    "finetune": (
        *("finetune", "t.pt", "--data", "synthetic-digits", "--samples", "40", "--t-max", "2"),
        *("--epochs", "1", "-o", "u.pt"),
    ),
    "info": ("info", "n.pt"),
}


class Layer(NamedTuple):
    """One layer of the install.

    Attributes:
        commands: of speckflex, each with exit code 0.
        modules: that it brings.
        needs_torch: whether torch is among them.
        beyond: a command of another layer, and the extra that its message names.
        makes: a script that makes what the commands read.
        on_gpu: a command that needs a GPU, and says so in one line where there is none.
    """

    commands: dict
    modules: tuple = ()
    needs_torch: bool = False
    beyond: tuple = ()
    makes: str = ""
    on_gpu: tuple = ()


LAYERS = {
    "core": Layer(CORE, ("numba", "h5py"), beyond=(("demo", "--out", "demo"), "torch")),
    "torch": Layer(
        {**CORE, **TORCH},
        ("torch", "sinabs"),
        needs_torch=True,
        beyond=(("view", "nmnist", "--download"), "data"),
    ),
    "onnx": Layer(
        {"check": ("check", "n.onnx", "--input-shape", "2,8,8")},
        ("onnx", "torch"),
        needs_torch=True,
        beyond=(("view", "nmnist", "--download"), "data"),
    ),
    "data": Layer(
        {"view": ("view", "synthetic-digits", "--samples", "2")},
        ("tonic.datasets",),
        beyond=(("demo", "--out", "demo"), "torch"),
    ),
    "log": Layer(
        {"train": (*TRAIN, "-o", "l.pt", "--logger", "tensorboard")},
        ("tensorboard",),
        needs_torch=True,
        beyond=((*TRAIN, "-o", "w.pt", "--logger", "wandb"), "wandb"),
    ),
    "wandb": Layer(
        {"train": (*TRAIN, "-o", "w.pt", "--logger", "wandb")},
        ("wandb",),
        needs_torch=True,
        beyond=((*TRAIN, "-o", "l.pt", "--logger", "tensorboard"), "log"),
    ),
    "sweep": Layer(
        {
            "sweep": (
                *("sweep", "--search", "t-max=1,2", "--trials", "2", "--data", "synthetic-digits"),
                *("--samples", "40", "--epochs", "1", "-o", "sweep"),
            )
        },
        ("optuna",),
        needs_torch=True,
        beyond=(("view", "nmnist", "--download"), "data"),
    ),
    "plots": Layer(
        {
            "deploy": CORE["deploy"],
            "figures": ("report", "run", "--figures", "figures"),
        },
        ("matplotlib",),
    ),
    "hdf5": Layer(
        {"view": ("view", "c.h5", "--sensor", "8,8")}, ("hdf5plugin",), makes=MAKE_COMPRESSED
    ),
    "aedat4": Layer(
        {name: ("view", str(FILES / "events" / f"dv-{name}.aedat4")) for name in ("lz4", "zstd")}
    ),
    "cuda": Layer(
        {"deploy": CORE["deploy"]},
        ("numba_cuda", "numba.cuda"),
        on_gpu=("deploy", "p.speck", "--board", "twin:cuda", *DIGITS, "--out", "gpu"),
    ),
    "all": Layer(
        {**CORE, **TORCH, "figures": ("report", "run", "--figures", "figures")}, needs_torch=True
    ),
}


HEAD = """\
| Python | layer | MB | pip, CPU s | commands | slowest command, CPU s | largest packages, MB |
| --- | --- | ---: | ---: | ---: | --- | --- |"""


class Figures(NamedTuple):
    """What a layer costs.

    Attributes:
        megabytes: of the environment beyond an empty one.
        largest: the largest folders, with their megabytes.
        install: processor seconds of pip, which do not depend on the network or on other work.
        seconds: processor seconds of each command.
    """

    megabytes: float
    largest: dict
    install: float
    seconds: dict


def main():
    """Build, install, run, print."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="layers-") as folder:
        wheel = build(Path(folder))
        if options.sdist:
            return
        tell(HEAD)
        for python in options.python:
            for name in options.layers or LAYERS:
                tell(row_of(python, name, measure(name, wheel, python, options.torch)))


def parse():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="*", choices=[*LAYERS, []], metavar="LAYER")
    parser.add_argument("--python", nargs="+", default=[sys.executable])
    parser.add_argument("--torch", default="torch>=2.5,<2.14")
    parser.add_argument("--sdist", action="store_true", help="only build, and compare with git")
    return parser.parse_args()


def run(command, folder=ROOT, **options):
    """Run a command and return what it did."""
    return subprocess.run(  # noqa: S603, PLW1510 - our own commands
        [str(word) for word in command], cwd=folder, text=True, **{"check": False, **options}
    )


def build(folder):
    """Build the sdist, compare it with git, and return the wheel that was built from it."""
    run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(sdist) as archive:
        held = {
            name.partition("/")[2]
            for name in archive.getnames()
            if archive.getmember(name).isfile()
        }
    listed = run(["git", "ls-files"], check=True, stdout=subprocess.PIPE).stdout.split("\n")
    known = {name for name in listed if name and (ROOT / name).is_file()}
    extra = {name for name in held - known if not name.startswith(OF_BUILDS)}
    if known != held & known or extra:
        sys.exit(f"the sdist lacks {sorted(known - held)} and has {sorted(extra)} beyond git")
    tell(
        f"sdist: {len(held)} files, all that git knows, {sdist.stat().st_size / 1e6:.1f} MB;"
        f" wheel: {wheel.stat().st_size / 1e6:.1f} MB"
    )
    return wheel


def measure(name, wheel, python, torch):
    """Return what a layer costs in a fresh environment, in which its commands run."""
    layer = LAYERS[name]
    with tempfile.TemporaryDirectory(prefix=f"layer-{name}-") as text:
        folder = Path(text)
        run([python, "-m", "venv", folder / "env"], check=True)
        binaries = folder / "env" / "bin"
        before = megabytes(folder / "env")
        start = processor_seconds()
        wanted = str(wheel) if name == "core" else f"{wheel}[{name}]"
        pip = [binaries / "python", "-m", "pip", "install", "--quiet"]
        for package in [torch] * layer.needs_torch + [wanted]:
            run([*pip, package], folder, check=True)
        install = processor_seconds() - start
        after = megabytes(folder / "env")
        largest = largest_folders(folder / "env")
        seconds = run_commands(layer, binaries, folder / "work")
    return Figures(after - before, largest, install, seconds)


def run_commands(layer, binaries, work):
    """Run the commands of a layer, each with a cold start, and return their seconds."""
    work.mkdir()
    shutil.copy(BUNDLED, work / "n.pt")
    packed = FILES / "models" / "torch-onnx.onnx.gz"
    (work / "n.onnx").write_bytes(gzip.decompress(packed.read_bytes()))
    python = binaries / "python"
    for module in layer.modules:
        run([python, "-c", f"import {module}"], work, check=True)
    for script in filter(None, (MAKE_PROGRAM, layer.makes)):
        run([python, "-c", script], work, check=True)
    seconds = {}
    for title, words in layer.commands.items():
        start = processor_seconds()
        code, text = speckflex(binaries, work, words)
        seconds[title] = processor_seconds() - start
        if code:
            sys.exit(f"speckflex {' '.join(words)}: exit code {code}\n{text}")
    check_refusals(layer, binaries, work)
    return seconds


def check_refusals(layer, binaries, work):
    """Check that a command says in one line what it lacks."""
    if layer.beyond:
        words, extra = layer.beyond
        code, text = speckflex(binaries, work, words)
        if code != 1 or not text.endswith(f"pip install 'speckflex[{extra}]'"):
            sys.exit(f"speckflex {' '.join(words)}: does not name [{extra}]\n{text}")
    if layer.on_gpu:
        code, text = speckflex(binaries, work, layer.on_gpu)
        if code and not (code == 3 and "there is no GPU" in text.splitlines()[-1]):
            sys.exit(f"speckflex {' '.join(layer.on_gpu)}: exit code {code}\n{text}")


def speckflex(binaries, work, words):
    """Return the exit code and the output of a command."""
    done = run(
        [binaries / "speckflex", *words],
        work,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "WANDB_MODE": "offline"},
    )
    return done.returncode, done.stdout.strip()


def processor_seconds():
    """Return the processor seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def megabytes(folder):
    """Return the size of all files in a folder."""
    paths = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_size for path in paths) / 1e6


def largest_folders(environment):
    """Return the largest packages with their megabytes, libraries that come beside included."""
    [site] = environment.glob("lib/python*/site-packages")
    sizes = {}
    for path in site.iterdir():
        name = path.name.partition(".")[0]
        if path.is_dir() and name != "pip":
            sizes[name] = sizes.get(name, 0) + megabytes(path)
    return dict(sorted(sizes.items(), key=lambda item: -item[1])[:6])


def row_of(python, name, figures):
    """Return the row of the table that says what a layer costs."""
    version = run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], stdout=subprocess.PIPE
    )
    slowest = max(figures.seconds.items(), key=lambda item: item[1], default=("none", 0.0))
    largest = ", ".join(f"{key} {size:.0f}" for key, size in figures.largest.items())
    return (
        f"| {version.stdout.strip()} | {name} | {figures.megabytes:.0f} | {figures.install:.0f}"
        f" | {len(figures.seconds)} | {slowest[0]} {slowest[1]:.1f} | {largest} |"
    )


def tell(line):
    """Print a line at once: a table takes many minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
