"""The choices of a training in one frozen record, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from speckflex.errors import TrainingError
from speckflex.training.augmentation import Augmentation
from speckflex.training.mixed.boundaries import parse_boundaries
from speckflex.training.on_board.variation import Variation
from speckflex.training.rules import DOWNSAMPLINGS, UPSAMPLINGS, Downsampling, Upsampling

__all__ = [
    "CHOOSERS",
    "FINETUNING",
    "KEPT_EPOCHS",
    "METHODS",
    "MIXED_SAMPLERS",
    "OPTIMISERS",
    "OUTPUTS",
    "TrainingSettings",
    "parse_bits",
]

METHODS = ("sdt", "nmt", "mtt", "law", "mtsnn", "board")
OPTIMISERS = ("adamw", "sgd")
BATCH_NORM_MODES = ("train", "locked")
MIXED_SAMPLERS = ("uniform", "fixed-first", "non-increasing", "fixed")
OUTPUTS = ("mean", "total")
CHOOSERS = ("torch", "twin", "board")
KEPT_EPOCHS = ("best", "last")
MAX_VALIDATION_SHARE = 0.5
MOST_BITS = 8


@dataclass(frozen=True)
class TrainingSettings:
    """The choices of one training.

    Args:
        method: "sdt" trains only at `t_max`, "nmt" at one number of time steps drawn in each
            iteration, "mtt" at numbers drawn for each stage (Du et al. 2025, section 4). "law"
            draws like "mtt" and computes neurons by the running maximum of their drive, which
            needs no time loop and becomes the chip's own rule as frames get short. "mtsnn" puts
            ReLUs in whole steps, with steps and bit widths that learn, in the neurons' place; with
            a `t_max` of 1 the network is a plain one of event counts, with more frames its counts
            are those of the law. With "board" a board plays the forward pass, event by event on
            the 8-bit program.
        t_max: number of frames of a recording, and the largest number of time steps.
        frame_time: µs of a frame, counted from the start of a recording, for recordings whose time
            means the same in each, such as sounds; what lies behind `t_max` frames is left out.
            None to divide each recording's own time into `t_max` frames.
        samples_per_step: drawn configurations whose gradients are added up in one optimiser step
            (nmt, mtt, law).
        epochs: passes over the training part; also the length of the cosine schedule.
        batch_size: recordings per step and process.
        optimiser: "adamw" or "sgd" (momentum 0.9).
        learning_rate: at the start; a cosine lowers it.
        weight_decay: of the optimiser.
        clip_gradient: the largest norm of a step's gradient over all weights: a longer one is
            scaled down to it. 0 for no limit.
        validation_share: the part of the recordings that chooses the best epoch, 0 < share <= 0.5.
        keep: the epoch whose network is returned: "best" by validation at `t_max`, or "last",
            which training at mixed time steps may need: validation at `t_max` does not see what
            it gains at other T.
        chosen_by: the accuracy on the validation part that decides which epoch is better: "torch"
            at `t_max`, "twin", which plays the recordings event by event on the converted 8-bit
            program, or "board", the board of method "board". None for the board where there is
            one, for the twin with the methods "law" and "mtsnn", and for torch otherwise.
        patience: training stops after so many epochs without a better validation; None to run
            all epochs.
        cosine_epochs: length of the cosine, if it is longer than the training, so that the
            learning rate does not come to its end; None for the number of epochs.
        final_learning_rate: at the end of the cosine.
        seed: for split, order, augmentation and drawn time steps.
        augment: what is drawn anew for each recording in each epoch: "shift:N" or
            "crop:N", "roll:N", "warp:N", "cutout:N", "flip:lr", "flip:ud", "invert-time" and
            "autoaugment", with commas between them, see `Augmentation`; "" for nothing.
        batch_norm_mode: "train" as usual (recalibrated for nmt and mtt), or "locked".
        eight_bit: train on the converter's 8-bit weights, gradients straight through.
        clip_weights: keep each weight below the neuron's threshold, because a core of the chip
            fires at most once per event.
        synops_weight: loss added per million synaptic operations of a recording; 0 for none. None
            for none, and with method "board" for 0.01 for each time that a recording causes as
            many operations as its events cause in the first layer.
        sampler: how "mtt" and "law" draw: "uniform" draws all stages, as published; "fixed-first"
            keeps the first stage at `t_max`, which is a choice of this project; "non-increasing"
            never grows from stage to stage (time encoders); "fixed" draws nothing, and makes one
            pass at `t_max`. None for "uniform" with "mtt" and for "fixed" with "law", which
            measures better.
        granularity: number of blocks in a stage of "mtt" and "law"; None for the network's own: as
            published for the paper's networks, 1 for others.
        input_frames: the frames that the first stage gets when it is shorter than `t_max`: the
            "sum" of each group (4.3.2), the first ones alone, "trim" (the published network for
            DVS-Gesture, and A.2), or their mean, "rate".
        output: the score in the loss: the "mean" over the time steps (the paper), or "total",
            their sum divided by `t_max`: the same at T_max, and of the same size at any other T.
        upsampling: the frames that a longer stage gets from a shorter one: "copy" (the paper),
            "spread", or "rate", which keeps the mean of the frames in both directions. With
            "total" and "spread" charge means the same at every T; for multi-spike neurons this
            gives much better accuracy (examples/nmnist), so it is the default.
        boundaries: the rules of each boundary, such as "copy/trim,copy/sum,rate", see
            `parse_boundaries`: that of the input first, one for each stage; "" for those of
            `upsampling` and `input_frames`.
        calibration_batches: batches that the statistics of batch norms are measured on after an
            epoch of drawn time steps, as the paper's 10; 0 for the running ones of the training.
        board: what plays the forward pass of method "board", a name as for `open_board`. Its
            spikes are counted in `t_max` frames for the gradient.
        sparse_epochs: with method "board", epochs in torch before the board's, by SDT with twice
            the price of operations; none where they have no price.
        vary: what differs from play to play with method "board": "order", "jitter=MICROSECONDS"
            and "drop=SHARE", with commas between them; "" for nothing.
        max_load: with method "board", the load that no core shall exceed, a share of the rate
            that a core of the chip is taken to do: what is above it in a recording's busiest
            frame adds to the loss, and an epoch that stays below is better than one that does
            not. None for no limit.
        mean_t: with method "mtsnn", the most that the levels `2^n - 1` of the layers may be on
            average.
        bits: with method "mtsnn", the bit width of each layer, such as "3,3,2,2"; "" to let them
            learn under `mean_t`.
    """

    method: str = "sdt"
    t_max: int = 10
    samples_per_step: int = 3
    epochs: int = 25
    batch_size: int = 32
    optimiser: str = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    validation_share: float = 0.1
    keep: str = "best"
    chosen_by: str | None = None
    patience: int | None = None
    cosine_epochs: int | None = None
    final_learning_rate: float = 0.0
    seed: int = 0
    augment: str = ""
    batch_norm_mode: str = "train"
    eight_bit: bool = False
    clip_weights: bool = False
    synops_weight: float | None = None
    sampler: str | None = None
    granularity: int | None = None
    input_frames: Downsampling = "sum"
    upsampling: Upsampling = "spread"
    output: str = "total"
    boundaries: str = ""
    calibration_batches: int = 10
    board: str = "twin"
    vary: str = ""
    max_load: float | None = None
    mean_t: float = 7.0
    bits: str = ""
    frame_time: int | None = None
    clip_gradient: float = 0.0
    sparse_epochs: int = 0

    @property
    def chooser(self) -> str:
        """What decides which epoch is better: "torch", "twin" or "board"."""
        own = {"board": "board", "law": "twin", "mtsnn": "twin"}
        return self.chosen_by or own.get(self.method, "torch")

    @property
    def drawing(self) -> str:
        """How "mtt" and "law" draw time steps: a choice of `sampler`."""
        return self.sampler or ("fixed" if self.method == "law" else "uniform")

    @property
    def pricing(self) -> float | str:
        """What operations cost: `synops_weight`, or "relative" to the first layer's."""
        if self.synops_weight is None:
            return "relative" if self.method == "board" else 0.0
        return self.synops_weight

    def __post_init__(self) -> None:
        for name in ("t_max", "samples_per_step", "epochs", "batch_size"):
            _check_at_least(name, getattr(self, name), 1)
        optional = {
            "synops_weight": 0,
            **dict.fromkeys(("granularity", "patience", "frame_time"), 1),
            "cosine_epochs": self.epochs,
        }
        for name, least in optional.items():
            if getattr(self, name) is not None:
                _check_at_least(name, getattr(self, name), least)
        if self.patience is not None and self.keep == "last":
            raise TrainingError(
                f"patience {self.patience} with keep 'last': patience waits for a better epoch,"
                " which is not kept: leave one of them out"
            )
        at_least_zero = ("weight_decay", "seed", "final_learning_rate", "calibration_batches")
        for name in (*at_least_zero, "clip_gradient", "sparse_epochs"):
            _check_at_least(name, getattr(self, name), 0)
        parse_boundaries(self.boundaries)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices and not (name in _OF_THE_METHOD and value is None):
                raise TrainingError(
                    f"{name.replace('_', ' ')} {value!r} is not known: choose one of"
                    f" {', '.join(choices)}"
                )
        Augmentation.parse(self.augment)
        _check_law(self)
        _check_board(self)
        _check_levels(self)
        _check_steps(self)


# A board has no time steps.
_OF_TIME_STEPS = ("sampler", "granularity", "input_frames", "output", "upsampling", "boundaries")
# None leaves these to the method.
_OF_THE_METHOD = ("chosen_by", "sampler")
_CHOICES = {
    "method": METHODS,
    "optimiser": OPTIMISERS,
    "batch_norm_mode": BATCH_NORM_MODES,
    "sampler": MIXED_SAMPLERS,
    "upsampling": UPSAMPLINGS,
    "input_frames": DOWNSAMPLINGS,
    "output": OUTPUTS,
    "keep": KEPT_EPOCHS,
    "chosen_by": CHOOSERS,
}


def _check_steps(settings: TrainingSettings) -> None:
    if not 0 < settings.learning_rate < float("inf"):
        raise TrainingError(
            f"learning rate {settings.learning_rate}: must be a positive number: give one such as"
            " 0.003"
        )
    if not 0 < settings.validation_share <= MAX_VALIDATION_SHARE:
        raise TrainingError(
            f"validation share {settings.validation_share}: must be above 0 and at most"
            f" {MAX_VALIDATION_SHARE}: give one such as 0.1"
        )


def _check_law(settings: TrainingSettings) -> None:
    if settings.method == "law" and settings.boundaries:
        raise TrainingError(
            f"boundaries {settings.boundaries} with method law: the law has one rule, spread: leave"
            " this setting out"
        )
    if settings.method == "law" and settings.upsampling != "spread":
        raise TrainingError(
            f"upsampling {settings.upsampling} with method law: the law counts the charge that"
            " arrives, and copied frames multiply it: choose spread"
        )


def _check_board(settings: TrainingSettings) -> None:
    """Check what belongs to method "board" alone."""
    Variation.parse(settings.vary)
    if settings.max_load is not None and not 0 < settings.max_load < float("inf"):
        raise TrainingError(
            f"max load {settings.max_load}: must be a share above 0 of what a core can do: give one"
            " such as 0.8"
        )
    if settings.method == "board":
        if settings.frame_time is not None:
            raise TrainingError(
                f"frame time {settings.frame_time} µs with method board: its spikes are counted in"
                " frames of a recording's own time: leave the frame time out"
            )
        for name in _OF_TIME_STEPS:
            value = getattr(settings, name)
            if value != getattr(TrainingSettings, name):  # the default
                raise TrainingError(
                    f"{name.replace('_', ' ')} {value} with method board: the board plays single"
                    " events on the 8-bit program, without time steps: leave this setting out"
                )
        return
    chosen = "board" if settings.chosen_by == "board" else ""
    board = settings.board if settings.board != "twin" else ""
    alone = {"board": board, "vary": settings.vary, "max load": settings.max_load}
    alone["chosen by"] = chosen
    for name, value in alone.items():
        if value:
            raise TrainingError(
                f"{name} {value} with method {settings.method}: only method board plays on a board:"
                " choose it, or leave this setting out"
            )


def _check_levels(settings: TrainingSettings) -> None:
    """Check what belongs to method "mtsnn" alone."""
    largest = 2**MOST_BITS - 1
    if not 1 <= settings.mean_t <= largest:
        raise TrainingError(
            f"mean t {settings.mean_t}: must be from 1 to {largest}, the levels of 1 and of"
            f" {MOST_BITS} bits: give one such as 7"
        )
    if settings.bits and settings.method != "mtsnn":
        raise TrainingError(
            f"bits {settings.bits} with method {settings.method}: only method mtsnn has layers of"
            " bits: choose it, or leave this setting out"
        )
    parse_bits(settings.bits)


def parse_bits(text: str) -> tuple[int, ...]:
    """Return the bit widths in a text such as "3,3,2"; none in "".

    Raises:
        TrainingError: a part is no whole number from 1 to 8.
    """
    parts = [part.strip() for part in text.split(",")] if text else []
    for part in parts:
        if not (part.isascii() and part.isdecimal() and 1 <= int(part) <= MOST_BITS):
            raise TrainingError(
                f"bits {text!r}: {part!r} is no whole number from 1 to {MOST_BITS}: write one for"
                " each layer with commas between them, such as 3,3,2"
            )
    return tuple(map(int, parts))


def _check_at_least(name: str, value: float, least: int) -> None:
    if not least <= value < float("inf"):
        raise TrainingError(
            f"{name.replace('_', ' ')} is {value}: must be a number of at least {least}"
        )


# The settings of `speckflex finetune` where none are given.
FINETUNING = TrainingSettings(
    method="board",
    epochs=10,
    learning_rate=3e-3,
    augment="shift:2",
    clip_gradient=1.0,
    sparse_epochs=3,
)
