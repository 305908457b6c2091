"""`--config FILE.toml`: the options of a command from a file, and back into one."""

from __future__ import annotations

import difflib
import json
import os
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from speckflex._support.files import write_whole
from speckflex._support.text import first_line, shown
from speckflex.errors import FileFormatError
from speckflex.version import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["as_toml", "given_words", "keep_words", "take_config", "used_options"]

LARGEST = 1_000_000  # bytes; a file of options has some hundred
WORDS = "speckflex.words"  # where a context keeps the words behind the command
# Their results depend on many options, so that the file is always written.
ALWAYS_RECORDED = ("train", "finetune", "sweep")


def take_config(command: click.Command) -> click.Command:
    """Give a command the option `--config`, if it has options, and return it.

    Options of the command line have priority over the file, the file over a recipe, and a recipe
    over defaults. What the command used is written beside its result: `OUT.toml` for a file,
    `config.toml` in a folder.
    """
    names = [parameter.name for parameter in command.params]
    if not names or "config" in names or command.callback is None:
        return command
    option = click.Option(
        ["--config"],
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_apply,
        metavar="FILE.toml",
        help="Take options from a TOML file, such as epochs = 5; those given here have priority.",
    )
    command.params.append(option)
    command.callback = _recorded(command.callback)
    return command


def keep_words(context: click.Context, words: list[str]) -> None:
    """Keep the words behind a command, so that its options can be written as they were typed."""
    context.meta[WORDS] = list(words)


def _apply(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Make the values of a file the defaults of a command."""
    if path is not None and not context.resilient_parsing:
        values = _values(context.command, _read(path, context, option), path)
        context.default_map = {**(context.default_map or {}), **values}
    return path


def _read(path: Path, context: click.Context, option: click.Parameter) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            problem = f"{path}: has more than {LARGEST} bytes: a file of options is small"
            raise click.BadParameter(problem, context, option)
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        problem = f"{path}: is no TOML ({first_line(error)}): write lines such as epochs = 5"
        raise click.BadParameter(problem, context, option) from error


def _values(command: click.Command, found: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the values of a file by the names of a command's parameters."""
    names = {name: p for p in command.params if p.expose_value for name in _names(p)}
    values: dict[str, Any] = {}
    for key, value in found.items():
        parameter = names.get(key.replace("_", "-"))
        if parameter is None:
            near = difflib.get_close_matches(key.replace("_", "-"), names, 1)
            known = f"did you mean {near[0]}?" if near else f"see speckflex {command.name} --help"
            raise click.UsageError(
                f"{path}: {shown(key)} is no option of speckflex {command.name}: {known}"
            )
        if parameter.name in values:
            raise click.UsageError(f"{path}: {shown(key)} is set twice: leave one of them out")
        values[str(parameter.name)] = _as_typed(parameter, value, f"{path}: {key}")
    return values


def _names(parameter: click.Parameter) -> list[str]:
    """Return the keys of a parameter: the long names of an option, or the name of an argument."""
    if isinstance(parameter, click.Argument):
        return [str(parameter.name)]
    return [word[2:] for word in parameter.opts if word.startswith("--")]


def _as_typed(parameter: click.Parameter, value: Any, place: str) -> Any:
    """Return a value of a TOML file as the command line gives it."""
    if getattr(parameter, "is_flag", False):
        if isinstance(value, bool):
            return value
        raise click.UsageError(f"{place} is {_shown(value)}: must be true or false")
    values = value if isinstance(value, list) else [value]
    for one in values:
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            raise click.UsageError(
                f"{place} is {_shown(one)}: must be a text, a number or a list of them, as on the"
                " command line"
            )
    words = [str(one) for one in values]
    several = parameter.multiple or parameter.nargs != 1
    return words if several else ",".join(words)


def _shown(value: Any) -> str:
    kinds = {dict: "a table", list: "a list", bool: str(value).lower()}
    return kinds.get(type(value), shown(str(value)))


def _recorded(callback: Any) -> Any:
    """Return a command's function that writes, at its end, the options that it used."""

    @wraps(callback)
    def run(*arguments: Any, **options: Any) -> Any:
        context = click.get_current_context()
        result = callback(*arguments, **options)
        _record(context)
        return result

    return run


def _record(context: click.Context) -> None:
    """Write the options of a command beside its result, in the first of several processes."""
    given = context.get_parameter_source("config") is ParameterSource.COMMANDLINE
    wanted = given or context.command.name in ALWAYS_RECORDED
    out = context.params.get("out")
    if not wanted or out is None or WORDS not in context.meta or os.environ.get("RANK", "0") != "0":
        return
    if out.is_dir():
        target = out / "config.toml"
    elif out.is_file():
        target = out.with_name(f"{out.name}.toml")
    else:  # a pipe or a device
        return
    name = context.command.name
    title = f"# speckflex {__version__}; to do it again: speckflex {name} --config {target.name}\n"
    write_whole(target, title + as_toml(used_options(context)), FileFormatError)


def used_options(context: click.Context) -> dict[str, Any]:
    """Return the options that a command used by their names in a file, as they would be typed."""
    given = _given(context)
    used = {}
    for parameter in context.command.params:
        name = str(parameter.name)
        if name == "resume" or not parameter.expose_value or context.params[name] in (None, ()):
            continue
        value = given[name] if name in given else parameter.get_default(context)
        used[_names(parameter)[0]] = _plain(parameter, value)
    return used


def given_words(context: click.Context) -> dict[str, list[str]]:
    """Return the options that a command line or a file gave, as the words that give them again.

    Args:
        context: of a command that runs.

    Returns:
        The words of each option by the name of its parameter, such as `["--samples", "100"]`.
    """
    given = _given(context) if WORDS in context.meta else {}
    options = {str(option.name): option for option in context.command.params}
    return {
        name: _words(options[name], value)
        for name, value in given.items()
        if isinstance(options[name], click.Option)
    }


def _words(option: click.Parameter, value: Any) -> list[str]:
    flag = f"--{_names(option)[0]}"
    if value is True:
        return [flag]
    if value is False:
        # only an option that is on unless it is refused has a second name
        return option.secondary_opts[:1]
    values = value if isinstance(value, list | tuple) and option.multiple else [value]
    return [word for one in values for word in (flag, str(one))]


def _given(context: click.Context) -> dict[str, Any]:
    """Return what a command line or a file gave, as it was typed, by the names of parameters."""
    typed, _, _ = context.command.make_parser(context).parse_args(list(context.meta[WORDS]))
    sources = {
        ParameterSource.COMMANDLINE: typed,
        ParameterSource.DEFAULT_MAP: context.default_map or {},
    }
    found = {}
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        values = None if source is None else sources.get(source)
        if values is not None and parameter.expose_value:
            found[name] = values[name]
    return found


def _plain(parameter: click.Parameter, value: Any) -> Any:
    """Return a typed value as a number where the option takes a number, for a readable file."""
    kinds = {"integer": int, "integer range": int, "float": float, "float range": float}
    kind = kinds.get(parameter.type.name)
    if isinstance(value, list | tuple):
        return [_plain(parameter, one) for one in value]
    return value if isinstance(value, bool) or kind is None else kind(value)


def as_toml(values: Mapping[str, Any]) -> str:
    """Return values as the lines of a TOML file: texts, numbers, true or false, lists of them."""
    return "".join(f"{name} = {_toml(value)}\n" for name, value in values.items())


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    # JSON escapes all that TOML asks for, but DEL
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
