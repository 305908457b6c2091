"""The command line, with one file for each command: parse, call the library once, print."""

from __future__ import annotations

import importlib
import io
import sys
from errno import EPIPE
from typing import IO, Any

import click

from speckflex._support.text import printable
from speckflex.cli.config import keep_words, take_config
from speckflex.cli.emphasis import wants_colour
from speckflex.cli.interrupts import Interruption, quiet_interrupts
from speckflex.cli.logs import LEVELS, show_logs
from speckflex.errors import BoardNotFoundError, SpeckflexError, TrainingInterruptedError
from speckflex.version import __version__

__all__ = ["main"]

# In the order of the work; each command is `command` in `speckflex/cli/NAME.py`.
COMMANDS = (
    "demo",
    "view",
    "info",
    "deploy",
    "merge",
    "train",
    "fold",
    "finetune",
    "sweep",
    "evaluate",
    "calibrate",
    "convert",
    "tune",
    "analyse",
    "verify",
    "export",
    "check",
    "compare",
    "report",
    "boards",
    "doctor",
    "probe",
)


class Failure(click.ClickException):
    """A failed command; its line begins with a word in red."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error in one line."""
        word = click.style("Error:", fg="red", bold=True)
        click.echo(f"{word} {self.format_message()}", file or sys.stderr, color=wants_colour())


class NoSuchBoardError(Failure):
    """No such board; the exit code of its own lets scripts tell this from a failure."""

    exit_code = 3


class Misuse(click.UsageError):
    """A command that was called in a wrong way; the line of its error begins as a failure's."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the usage, and the error with a word in red."""
        text = io.StringIO()
        super().show(text)
        usage, error, message = text.getvalue().partition("Error: ")
        word = click.style(error.rstrip(), fg="red", bold=True)
        click.echo(f"{usage}{word} {message}", file or sys.stderr, nl=False, color=wants_colour())


# The exits of some errors; every other error of speckflex exits with 1.
FAILURES: dict[type[SpeckflexError], type[click.ClickException]] = {
    BoardNotFoundError: NoSuchBoardError,
    TrainingInterruptedError: Interruption,
}


class CommandGroup(click.Group):
    """A group that imports the module of a command only when that command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        return take_config(importlib.import_module(f"speckflex.cli.{cmd_name}").command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command and the words behind it, which the context keeps."""
        name, command, words = super().resolve_command(ctx, args)
        keep_words(ctx, words)
        return name, command, words

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Run the command as the main job of this process, which then ends."""
        with quiet_interrupts():
            return super().__call__(*arguments, **settings)

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        """Read the options before the command's name."""
        try:
            return super().make_context(*arguments, **settings)
        except click.UsageError as error:
            raise _misuse(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn an error of speckflex or of a file into one line and a code."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _misuse(error) from error
        except KeyboardInterrupt as error:
            raise Interruption("interrupted") from error
        except SpeckflexError as error:
            failure = FAILURES.get(type(error), Failure)
            raise failure(printable(str(error))) from error
        except ModuleNotFoundError as error:
            from speckflex._support.extras import explain_missing

            missing = explain_missing(error, f"speckflex {ctx.invoked_subcommand}")
            if missing is None:
                raise
            raise Failure(str(missing)) from error
        except OSError as error:
            if (
                error.errno == EPIPE
            ):  # the reader of our output has closed the pipe; click exits quietly
                raise
            place = error.filename or "standard output"
            message = printable(f"{place}: {error.strerror}: check the path")
            raise Failure(message) from error


def _misuse(error: click.UsageError) -> click.UsageError:
    """Return the error in colour; one that shows the help of a command stays as it is."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    return Misuse(error.format_message(), error.ctx)


@click.command(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="speckflex")
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="warning",
    show_default=True,
    help="What the package logs, on standard error.",
)
def main(log_level: str) -> None:
    """Run spiking networks on SynSense's Speck and measure how much they differ there.

    Exit codes: 0 done, 1 the work failed, 2 misuse, 3 no such board, 4 a required limit was
    missed, 130 interrupted.
    """
    click.get_current_context().call_on_close(show_logs(log_level))
