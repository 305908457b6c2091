"""`--recipe` and `--explain`: the paper's settings as the defaults of a training."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from speckflex.errors import TrainingError
from speckflex.training.recipes import RECIPES, Recipe, find_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.training.settings import TrainingSettings

    Decorator = Callable[[Any], Any]

__all__ = ["deviations", "recipe_options", "values_of_recipe"]

RECIPE = "speckflex.recipe"  # where a context keeps the values of its recipe
# Of each run, of each command and of method board, not of a recipe.
OWN = ("seed", "batch_norm_mode", "board", "sparse_epochs", "vary")


def recipe_options(step: str) -> Decorator:
    """Return a decorator that adds `--recipe` and `--explain`.

    Args:
        step: "training" or "finetuning", which settings of a recipe become the defaults.
    """

    def take(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
        if name is not None:
            defaults = _defaults(find_recipe(name), step)
            context.meta[RECIPE] = defaults
            # the options of a file come first
            context.default_map = {**defaults, **(context.default_map or {})}
        return name

    def explain(context: click.Context, _: click.Parameter, wanted: bool) -> bool:  # noqa: FBT001
        if wanted and not context.resilient_parsing:
            name = context.params.get("recipe")
            if name is None:
                raise click.UsageError("--explain says what a recipe does: give --recipe too")
            _explain(find_recipe(name))
            context.exit()
        if context.params.get("recipe") is not None:
            _check_has(find_recipe(context.params["recipe"]), step)
        return wanted

    def decorate(function: Any) -> Any:
        for option in (
            click.option(
                "--explain",
                is_flag=True,
                callback=explain,
                expose_value=False,
                help="Show the recipe and every difference from the paper, and stop.",
            ),
            click.option(
                "--recipe",
                is_eager=True,
                callback=take,
                metavar="|".join(RECIPES),
                help="Take the paper's settings as defaults; other options still change them.",
            ),
        ):
            function = option(function)
        return function

    return decorate


def deviations(options: dict[str, Any], context: click.Context) -> dict[str, tuple[Any, Any]]:
    """Return what the options change in their recipe: the value and the recipe's, by name."""
    return {
        name: (options[name], value)
        for name, value in values_of_recipe(context).items()
        if options[name] != value
    }


def values_of_recipe(context: click.Context) -> dict[str, Any]:
    """Return what the recipe of a command sets, by the names of its options."""
    return context.meta.get(RECIPE, {})


def _defaults(recipe: Recipe, step: str) -> dict[str, Any]:
    """Return the values of a command's parameters that a recipe sets; none for a missing step."""
    settings = getattr(recipe, step)
    if settings is None:
        return {}
    network = recipe.network_options if step == "training" else {}
    return {**network, **recipe.recordings, **_values(settings)}


def _check_has(recipe: Recipe, step: str) -> None:
    if getattr(recipe, step) is None:
        raise TrainingError(
            f"recipe {recipe.name} has no fine-tuning, because the paper trains this network in one"
            f" step: run speckflex train --recipe {recipe.name}"
        )


def _values(settings: TrainingSettings) -> dict[str, Any]:
    return {
        name: value
        for name, value in asdict(settings).items()
        if name not in OWN and value is not None
    }


def _explain(recipe: Recipe) -> None:
    from speckflex.cli.tables import echo_table

    click.echo(
        f"{recipe.name}: how the MTT paper (arXiv 2503.17394, {recipe.section}) trains"
        f" {recipe.network}"
    )
    if not recipe.on_chip:
        click.echo("The network runs in time steps in torch alone: the chip has no such neurons.")
    of_network = {**recipe.network_options, **recipe.recordings}
    rows = [(name, _spelled(value), "-") for name, value in of_network.items()]
    training, tuning = _values(recipe.training), {}
    if recipe.finetuning is not None:
        tuning = _values(recipe.finetuning)
    rows += [
        (name, _spelled(training.get(name)), _spelled(tuning.get(name)))
        for name in {**training, **tuning}
    ]
    columns = ("setting", "speckflex train", "speckflex finetune")
    if recipe.finetuning is None:
        columns, rows = columns[:2], [row[:2] for row in rows]
    echo_table(columns, rows, title="settings")
    click.echo()
    click.echo("differences from the paper's text and its published code:")
    for difference in recipe.differences:
        click.echo(f"- {difference.subject}: here {difference.here}; paper: {difference.paper}")
    click.echo()
    click.echo("commands:")
    click.echo(f"  speckflex train --recipe {recipe.name} --data DATA --out base.pt")
    if recipe.finetuning is not None:
        tune = f"speckflex finetune folded.pt --recipe {recipe.name} --data DATA --out tuned.pt"
        click.echo("  speckflex fold base.pt --out folded.pt")
        click.echo(f"  {tune}")


def _spelled(value: Any) -> str:
    if value in (None, ""):
        return "-"
    if isinstance(value, tuple):
        height, width = value
        return f"{width}x{height}"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
