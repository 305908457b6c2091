"""How a network is trained: every choice in one frozen record, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from speckflex.errors import TrainingError

__all__ = [
    "CHOOSERS",
    "METHODS",
    "MIXED_SAMPLERS",
    "OPTIMISERS",
    "OUTPUTS",
    "UPSAMPLINGS",
    "TrainingSettings",
]

METHODS = ("sdt", "nmt", "mtt")
OPTIMISERS = ("adamw", "sgd")
BATCH_NORM_MODES = ("train", "locked")
MIXED_SAMPLERS = ("fixed-first", "uniform", "non-increasing")
UPSAMPLINGS = ("copy", "spread")
OUTPUTS = ("mean", "total")
CHOOSERS = ("torch", "twin")
KEPT_EPOCHS = ("best", "last")


@dataclass(frozen=True)
class TrainingSettings:
    """The choices of one training.

    Args:
        method: "sdt" trains at `t_max` alone, "nmt" at uniform time steps drawn anew in each
            iteration, "mtt" at time steps drawn for each stage (Du et al. 2025, section 4).
        t_max: frames that a recording is cut into, and the largest number of time steps.
        samples_per_step: drawn configurations whose gradients make one step (nmt, mtt).
        epochs: passes over the training part; the cosine schedule is exactly as long.
        batch_size: recordings a step and process.
        optimiser: "adamw" or "sgd" (momentum 0.9).
        learning_rate: at the start; it ends at 0.
        weight_decay: of the optimiser.
        validation_share: part of the recordings that chooses the best epoch, 0 < share <= 0.5.
        keep: the epoch whose network comes out: "best" by validation at `t_max`, or "last", which
            mixed time steps may need: what they gain lies at other T.
        chosen_by: whose accuracy on the validation part is the better one: "torch" at `t_max`, or
            "twin", which plays the recordings event by event on the converted 8-bit program.
        patience: epochs without a better validation before training stops; None for all.
        seed: of split, order, augmentation and drawn time steps.
        shift: recordings are moved by up to so many pixels in y and x, drawn anew each epoch.
        batch_norm_mode: "train" as usual (recalibrated for nmt and mtt), or "locked".
        eight_bit: train through the converter's 8-bit weights, gradients straight through.
        clip_weights: keep each weight below the neuron's threshold, as a chip's core fires once
            an event.
        synops_weight: loss added per million synaptic operations of a recording.
        sampler: how "mtt" draws: "fixed-first" keeps the first stage at `t_max`, "uniform" draws
            all stages, "non-increasing" never grows (time encoders).
        granularity: blocks in a stage of "mtt".
        output: what the loss sees: "mean" over the time steps (the paper), or "total": their sum
            divided by `t_max`, the same at T_max and of the same size at any other T.
        upsampling: what a longer stage gets of a shorter one, "copy" (the paper) or "spread". With
            "total" and "spread" charge means the same at every T; for multi-spike neurons that
            measures far better (examples/nmnist), so it is the default.
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
    chosen_by: str = "torch"
    patience: int | None = None
    seed: int = 0
    shift: int = 0
    batch_norm_mode: str = "train"
    eight_bit: bool = False
    clip_weights: bool = False
    synops_weight: float = 0.0
    sampler: str = "fixed-first"
    granularity: int = 1
    upsampling: str = "spread"
    output: str = "total"

    def __post_init__(self) -> None:
        for name in ("t_max", "samples_per_step", "epochs", "batch_size", "granularity"):
            _check_at_least(name, getattr(self, name), 1)
        if self.patience is not None:
            _check_at_least("patience", self.patience, 1)
            if self.keep == "last":
                raise TrainingError(
                    f"patience {self.patience} with keep 'last': waiting for a better epoch makes"
                    " sense where the best is kept: leave one of them out"
                )
        for name in ("weight_decay", "seed", "shift", "synops_weight"):
            _check_at_least(name, getattr(self, name), 0)
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        if not 0 < self.learning_rate < float("inf"):
            raise TrainingError(
                f"learning rate {self.learning_rate}: must be a positive number, such as 0.003"
            )
        if not 0 < self.validation_share <= MAX_VALIDATION_SHARE:
            raise TrainingError(
                f"validation share {self.validation_share}: must be above 0 and at most"
                f" {MAX_VALIDATION_SHARE}: recordings held out choose the best epoch"
            )


MAX_VALIDATION_SHARE = 0.5

_CHOICES = {
    "method": METHODS,
    "optimiser": OPTIMISERS,
    "batch_norm_mode": BATCH_NORM_MODES,
    "sampler": MIXED_SAMPLERS,
    "upsampling": UPSAMPLINGS,
    "output": OUTPUTS,
    "keep": KEPT_EPOCHS,
    "chosen_by": CHOOSERS,
}


def _check_at_least(name: str, value: float, least: int) -> None:
    if not least <= value < float("inf"):
        raise TrainingError(
            f"{name.replace('_', ' ')} is {value}: must be a number of at least {least}: change it"
        )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise TrainingError(
            f"{name.replace('_', ' ')} {value!r} is not known: choose one of {', '.join(choices)}"
        )
