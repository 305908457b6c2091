"""Factories: functions of a user, or names of this package, that make a network."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from speckflex._support.text import first_line
from speckflex.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Factory", "network_from_factory", "parse_factory"]

# An argument ends where the next one begins, so that tuples may have spaces.
BETWEEN_ARGUMENTS = re.compile(r"\s+(?=[^\W\d]\w*=)")
ARGUMENT = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)
# The JSON and shell spellings of Python's words.
WORDS = {"true": True, "false": False, "null": None, "none": None}


@dataclass(frozen=True)
class Factory:
    """What makes a network.

    Args:
        name: a built-in name or `package.module:factory`.
        arguments: by name.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


def parse_factory(text: str) -> Factory:
    """Return the factory in a text such as `mymod:make bias=False width=16 shape=(2,34,34)`.

    Values are Python's literals: numbers, texts, True, False, None, tuples, lists and dicts. A
    word that is no literal is a text. Nothing is evaluated.

    Raises:
        NetworkError: a part is not NAME=VALUE, or a name comes twice.
    """
    name, *parts = BETWEEN_ARGUMENTS.split(text.strip())
    if not name or re.search(r"\s", name):
        raise NetworkError(
            f"network {text!r}: {name!r} is no name: write the factory first, then NAME=VALUE for"
            " each of its arguments"
        )
    arguments: dict[str, Any] = {}
    for part in parts:
        match = ARGUMENT.fullmatch(part)
        if match is None or not match[2]:
            raise NetworkError(
                f"network {name}: argument {part!r} has no value: write it as width=16 is"
            )
        if match[1] in arguments:
            raise NetworkError(f"network {name}: argument {match[1]} is given twice: give it once")
        arguments[match[1]] = _literal(name, match[1], match[2])
    return Factory(name, arguments)


def _literal(factory: str, name: str, text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        if re.fullmatch(r"[\w.:/+-]+", text):
            return text
        raise NetworkError(
            f"network {factory}: argument {name}={text} is no number, text, tuple, list or dict:"
            " write it as Python does, texts with other characters than letters in quotes"
        ) from error


def network_from_factory(factory: str, **offered: Any) -> nn.Module:
    """Return the network that a factory makes.

    Modules are looked for in the working directory too, as `python -m` does.

    Args:
        factory: a built-in name or `package.module:factory`, and its arguments as NAME=VALUE.
        offered: more arguments, for a factory that has them by name.

    Raises:
        NetworkError: no such name, module or attribute, or the factory failed or made no module.
    """
    parsed = parse_factory(factory)
    make = _find_factory(parsed.name)
    arguments = {**_wanted(make, offered), **parsed.arguments}
    _check_arguments(make, parsed.name, arguments)
    try:
        network = make(**arguments)
    except NetworkError:
        raise
    except Exception as error:  # a user's code can raise anything
        raise NetworkError(
            f"factory {factory} failed ({type(error).__name__}: {first_line(error)}): correct it,"
            " or its arguments after the name, such as width=16"
        ) from error
    if not isinstance(network, nn.Module):
        raise NetworkError(
            f"factory {factory} returned a {type(network).__name__}: it must return a torch module"
        )
    return network


def _signature(make: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(make)
    except (ValueError, TypeError):  # some compiled functions have none
        return None


def _wanted(make: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    """Return those of the offered arguments that a function has by name."""
    signature = _signature(make)
    names = signature.parameters if signature is not None else {}
    return {name: value for name, value in offered.items() if name in names}


def _check_arguments(make: Callable[..., Any], name: str, arguments: dict[str, Any]) -> None:
    """Check that a function takes the arguments, so that its own errors are told apart."""
    signature = _signature(make)
    if signature is None:
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        taken = ", ".join(str(parameter) for parameter in signature.parameters.values())
        raise NetworkError(
            f"factory {name}: {first_line(error)}: it takes ({taken}); write its arguments"
            " after its name, such as width=16"
        ) from error


def _find_factory(factory: str) -> Callable[..., Any]:
    from speckflex.networks.paper import NETWORKS
    from speckflex.networks.time_stepped import TIME_STEPPED

    built_in: dict[str, Callable[..., Any]] = {**NETWORKS, **TIME_STEPPED}
    if factory in built_in:
        return built_in[factory]
    module_name, colon, attribute = factory.partition(":")
    if not (colon and module_name and attribute):
        raise NetworkError(
            f"network {factory!r} is not known: give package.module:factory or one of"
            f" {', '.join(sorted(built_in))}"
        )
    try:
        with _working_directory_importable():
            make = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # importing a user's module can raise anything
        raise NetworkError(
            f"network factory {factory} can't be imported ({type(error).__name__}:"
            f" {first_line(error)}): check the module and the name after the colon"
        ) from error
    if not callable(make):
        raise NetworkError(
            f"network factory {factory} is a {type(make).__name__}: name a function or a class"
        )
    return make


@contextlib.contextmanager
def _working_directory_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        importlib.invalidate_caches()
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)
