"""What `speckflex finetune` says at its end: what was won on the twin, and the next command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.config import given_words
from speckflex.cli.emphasis import echo_warning
from speckflex.cli.progress import stage
from speckflex.cli.training_recipes import values_of_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from speckflex.deployment.next_step import Losses
    from speckflex.training import TrainingData
    from speckflex.training.gain import Gain
    from speckflex.training.settings import TrainingSettings

# Options of the command line that have no meaning for images.
OF_EVENTS = (
    "fields",
    "time_unit",
    "sensor",
    "crop",
    "resize_keeps",
    "merge_polarities",
    "window",
    "stride",
)
# Of one training or of the network that was given; the next command has its own or none.
_OF_THIS_TRAINING = {
    *("factory", "key", "dt", "lower_bound", "vote_by_spikes"),
    *("data", "method", "epochs", "out", "checkpoint", "resume", "metrics", "loggers", "as_json"),
}
# What another method takes too.
_OF_ANY_METHOD = {
    *OF_EVENTS,
    *("resize", "samples", "stream", "t_max", "batch_size", "validation_share", "seed"),
    *("accelerator", "precision", "threads"),
}

__all__ = ["OF_EVENTS", "Outlook", "measure_outlook", "next_command", "outlook_text"]


@dataclass(frozen=True)
class Outlook:
    """What a training won on the twin, and what is still lost there, and where."""

    gain: Gain
    losses: Losses


def measure_outlook(
    measure: Callable[..., Outlook] | None, before: nn.Module, after: nn.Module, data: TrainingData
) -> Outlook | None:
    """Return what the twin says of a training; None where nothing measures or can play it."""
    from speckflex.errors import ConversionError, TrainingError

    if measure is None:
        return None
    try:
        with stage("measuring on the twin what was won and what is left to win"):
            return measure(before, after, data.validation)
    except (TrainingError, ConversionError):
        echo_warning(
            "the twin can't play the network, so what it gives there is not known: see speckflex"
            " check"
        )
        return None


def outlook_text(outlook: Outlook, settings: TrainingSettings, options: dict[str, Any]) -> str:
    """Return what was won, where the wrong answers come from, and the command for most of them."""
    losses = outlook.losses
    parts = {step: f"{100 * loss + 0.0:+.1f}" for step, loss in losses.by_step.items()}
    lost = (
        f"points lost on the twin: {parts['training']} already in torch at T = {losses.timesteps},"
        f" {parts['8 bits']} by 8 bits, {parts['events']} by single events"
    )
    lines = [_won(outlook.gain), lost]
    if losses.silent_on_twin:
        lines.append(
            f"on the twin, {losses.silent_on_twin} of {losses.recordings} recordings get no answer:"
            " the last layer sends no spike"
        )
    command = next_command(losses, settings, options)
    if command is None:
        lines.append("nothing is left to win on these recordings")
    else:
        on = "train on, with more recordings if there are any"
        how = on if losses.largest == "training" else "let the board train"
        lines.append(f"to win back the largest part, {how}:\n  {command}")
    return "\n".join(lines)


def next_command(losses: Losses, settings: TrainingSettings, options: dict[str, Any]) -> str | None:
    """Return the command that would win back the largest part; None if nothing is lost.

    It reads the recordings as this training did, and splits them in the same way, so that those
    that chose the epoch do not train the next network.
    """
    from speckflex.training.on_board.session import is_recorded

    if losses.largest is None:
        return None
    out: Path = options["out"]
    method = settings.method if losses.largest == "training" else "board"
    # a recorded session is of a program that is no more
    same = method == settings.method and not is_recorded(settings.board)
    context = click.get_current_context()
    recipe = values_of_recipe(context) if same else {}
    words = [str(out), "--data", str(options["data"]), "--method", method]
    for name, given in given_words(context).items():
        from_recipe = name in recipe and recipe[name] == options.get(name)
        if name not in _OF_THIS_TRAINING and (same or name in _OF_ANY_METHOD) and not from_recipe:
            words += given
    if same:
        words += ["--epochs", str(2 * settings.epochs)]
    words += ["--out", str(out.with_name(f"{out.stem}-next.pt"))]
    return f"speckflex finetune {shlex.join(words)}"


def _won(gain: Gain) -> str:
    low, high = (100 * end for end in gain.interval)
    lost = "; the network that was given is better there" if high < 0 else ""
    return (
        f"on the twin: {gain.before:.2%} before, {gain.after:.2%} after, on the {gain.recordings}"
        f" recordings that chose the epoch; won {100 * (gain.after - gain.before):+.1f} points"
        f" (95 % interval {low:+.1f} to {high:+.1f}, McNemar p = {gain.p_value:.2g}){lost}"
    )
