"""The steps of the examples with data sets, and their command line.

The `sizes.py` of a folder has what is special to it; each other script there is one step.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import speckflex as sf
from speckflex.cli import main as speckflex
from speckflex.data import open_dataset
from speckflex.training import TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STEPS = ("prepare", "train", "fold", "finetune", "convert", "deploy")


@dataclass(frozen=True, kw_only=True)
class Size:
    """A size of an example: how much is trained and deployed.

    Args:
        width: the largest number of channels of a convolution, W in the paper's names.
        t_max: frames of a recording, and the largest number of time steps that is drawn.
        epochs: of the training with batch norm, and of the bias-free one after it.
        settings: other `TrainingSettings` of both trainings.
        tuning: `TrainingSettings` of the second training only.
        samples: number of recordings that are deployed; None for all.
    """

    width: int
    t_max: int
    epochs: tuple[int, int]
    settings: Mapping[str, Any] = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)
    samples: int | None = None

    def training(self, seed: int) -> TrainingSettings:
        """Return the settings of the training at a fixed T (SDT)."""
        return TrainingSettings(t_max=self.t_max, epochs=self.epochs[0], seed=seed, **self.settings)

    def finetuning(self, seed: int) -> TrainingSettings:
        """Return the settings of the second training: at mixed T (MTT), if they don't say else."""
        settings = {"method": "mtt", "t_max": self.t_max, **self.settings, **self.tuning}
        return TrainingSettings(epochs=self.epochs[1], seed=seed, **settings)


SizeT = TypeVar("SizeT", bound=Size)


@dataclass(frozen=True)
class Step(Generic[SizeT]):
    """The command line of a step.

    Args:
        size: how much is trained and deployed.
        seed: of everything that is drawn.
        data: the recordings.
        out: the folder of all files.
        board: that plays them at the end.
        images: images to simulate more recordings from; None for none.
    """

    size: SizeT
    seed: int
    data: Path
    out: Path
    board: str
    images: Path | None = None


@dataclass(frozen=True)
class Pipeline(Generic[SizeT]):
    """An example, from recordings to report.

    Args:
        name: the name of the data set in `open_dataset`.
        folder: the folder of the example's scripts.
        input_shape: (channel, y, x) of the recordings.
        sizes: the choices of `--size`.
        synthetic: returns the name of the folder of synthetic recordings for a size and a seed.
        write_synthetic: writes those recordings into a folder.
        write_more: simulates more recordings to train on, from the images of a step; None where
            the example takes no images.
    """

    name: str
    folder: Path
    input_shape: tuple[int, int, int]
    sizes: Mapping[str, SizeT]
    synthetic: Callable[[SizeT, int], str]
    write_synthetic: Callable[[Path, SizeT, int], None]
    write_more: Callable[[Step[SizeT]], None] | None = None

    def read_step(self, description: str | None, words: list[str] | None = None) -> Step[SizeT]:
        """Return the command line of a step; every step takes the same options."""
        parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--size", choices=list(self.sizes), default="small")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--out", type=Path, default=Path("out") / self.folder.name)
        parser.add_argument("--data", type=Path, help="recordings; synthetic by default")
        parser.add_argument("--board", default="speck2e")
        if self.write_more is not None:
            parser.add_argument(
                "--images", type=Path, help="MNIST's test images, to simulate recordings from"
            )
        options = parser.parse_args(words)
        size = self.sizes[options.size]
        options.out.mkdir(parents=True, exist_ok=True)
        synthetic = options.out / self.synthetic(size, options.seed)
        data, images = options.data or synthetic, getattr(options, "images", None)
        return Step(size, options.seed, data, options.out, options.board, images)

    def prepare(self, description: str | None) -> None:
        """Write or find the recordings, and list them; with `--download` tonic downloads them."""
        words = [word for word in sys.argv[1:] if word != "--download"]
        step = self.read_step(description, words)
        if "--download" in sys.argv:
            open_dataset(self.name, split="all", cache=step.data.parent, download=True)
        elif step.data == step.out / self.synthetic(step.size, step.seed):
            self.write_synthetic(step.data, step.size, step.seed)
        if step.images is not None and self.write_more is not None:
            self.write_more(step)
        for split in ("train", "test"):
            dataset = open_dataset(step.data, split=split)
            kind = "synthetic" if dataset.synthetic else "real"
            print(f"{split}: {len(dataset)} {kind} recordings of {len(dataset.classes)} classes")

    def fold(self, description: str | None) -> None:
        """Read base.pt, write folded.pt: batch norm goes into the weights, without a bias."""
        from speckflex.networks.files import load_network, save_network
        from speckflex.networks.fold import fold_with_report

        step = self.read_step(description)
        network, report = fold_with_report(
            load_network(step.out / "base.pt"), input_shape=self.input_shape
        )
        save_network(network, step.out / "folded.pt")
        if not report.layers:
            print("folded.pt: the network has no batch norm and no bias, so it is the same")
        for layer in report.layers:
            print(
                f"{layer.layer}: now contains {', '.join(layer.norms)}; dropped constants of up to"
                f" {layer.dropped_max:.3f} thresholds per time step"
            )

    def convert(self, description: str | None) -> None:
        """Read tuned.pt, write program.speck and network.svg."""
        from speckflex.report.charts.network_diagram import write_network_diagram

        step = self.read_step(description)
        program = sf.convert(sf.load_network(step.out / "tuned.pt"), input_shape=self.input_shape)
        program.save(step.out / "program.speck")
        write_network_diagram(program, step.out / "network.svg")
        for core in program.cores:
            print(f"{core.name}: core {core.chip_core}, {core.weights.size} weights")

    def deploy(self, description: str | None) -> None:
        """Play tuned.pt; write report.html and its data into the folder `report`."""
        step = self.read_step(description)
        samples = ["--samples", str(step.size.samples)] if step.size.samples else []
        data = ["--data", str(step.data), "--bins", str(step.size.t_max), *samples]
        target = ["--board", step.board, "--out", str(step.out / "report")]
        speckflex(["deploy", str(step.out / "tuned.pt"), *data, *target])

    def run(self) -> None:
        """Run the scripts in this process, to load torch only once; stop at the first failure."""
        options = sys.argv[1:]
        self.read_step("All steps, one after the other, with these options.", options)
        for name in STEPS:
            script = self.folder / f"{name}.py"
            print("$ python", script, *options, flush=True)
            sys.argv = [str(script), *options]
            try:
                runpy.run_path(str(script), run_name="__main__")
            except SystemExit as end:
                if end.code:
                    raise
