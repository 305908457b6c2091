"""What one record of a forward pass can't show: state from call to call, and random numbers."""

from __future__ import annotations

import ast
import inspect
import operator
import random
import textwrap
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from speckflex.networks.forward_pass import Hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

__all__ = ["attributes_of", "counting", "state_kept", "watched_draws"]

Attributes = dict[tuple[str, str], Any]

# What torch keeps in a module beside its attributes.
INTERNAL = frozenset({"training", "_parameters", "_modules", "_buffers"})
PLAIN = (bool, int, float, str)


@contextmanager
def watched_draws(place: Callable[[], str]) -> Iterator[list[Hidden]]:
    """Yield a list that gets what draws random numbers; their generators are set back at the end.

    Args:
        place: returns file and line of the user's code that is running.
    """
    found: list[Hidden] = []
    plain, numpy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002  a user's
    with torch.random.fork_rng(devices=[]), _Draws(place, found):
        yield found
    now = np.random.get_state(legacy=False)  # noqa: NPY002
    if random.getstate() != plain or str(now) != str(numpy):
        found.append(_drawn("Python's or numpy's generator", ""))
        random.setstate(plain)
        np.random.set_state(numpy)  # noqa: NPY002


def _drawn(name: str, place: str) -> Hidden:
    remedy = "leave it out, or let it run in training alone (if self.training)"
    return Hidden("random", f"draws random numbers with {name}", remedy, place)


class _Draws(TorchFunctionMode):
    """Records each function of torch that moves torch's generator."""

    def __init__(self, place: Callable[[], str], found: list[Hidden]) -> None:
        super().__init__()
        self.place, self.found = place, found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = torch.random.get_rng_state()
        value = func(*args, **(kwargs or {}))
        if not torch.equal(before, torch.random.get_rng_state()):
            drawn = _drawn(f"torch's {getattr(func, '__name__', func)}", self.place())
            if drawn not in self.found:
                self.found.append(drawn)
        return value


def attributes_of(network: nn.Module) -> Attributes:
    """Return what a network's modules keep, by the module's path and the attribute's name."""
    found: Attributes = {}
    for path, module in network.named_modules():
        kept = {**vars(module), **vars(module)["_buffers"]}
        for name, value in kept.items():
            if name not in INTERNAL:
                found[path, name] = value if not _is_container(value) else _items(value)
    return found


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, dict, set))


def _items(value: Any) -> tuple[Any, ...]:
    return tuple(value.items()) if isinstance(value, dict) else tuple(value)


def state_kept(
    working: nn.Module, before: Attributes, after: Attributes, difference: str, place: str
) -> Hidden:
    """Return that two calls differ, with the attributes that a first call changed.

    Args:
        working: the copy that ran.
        before: its attributes before the first call.
        after: its attributes after the first call.
        difference: how the second call differs, as a clause.
        place: where it differs.
    """
    names = [_named(working, key) for key in after if _changed(before.get(key), after[key])]
    kept = f"keeps {' and '.join(names)} from call to call" if names else "changes between calls"
    return Hidden(
        "state",
        f"{kept}: {difference}",
        "keep no state outside sinabs' neurons, because the chip has no other",
        place,
    )


def counting(working: nn.Module, before: Attributes, after: Attributes) -> Iterator[Hidden]:
    """Yield a warning for each number that changes from call to call.

    Args:
        working: the copy that ran.
        before: its attributes after a first call.
        after: its attributes after a second call.
    """
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, PLAIN) and isinstance(old, PLAIN) and value != old:
            yield Hidden(
                "state",
                f"changes {_named(working, key)} with each call, so that a later call may differ",
                "remove it",
                "",
                severity="warning",
            )


def _changed(before: Any, after: Any) -> bool:
    if isinstance(after, tuple) and isinstance(before, tuple):
        return len(before) != len(after) or any(map(operator.is_not, before, after))
    return after is not before and not (isinstance(after, PLAIN) and after == before)


def _named(working: nn.Module, key: tuple[str, str]) -> str:
    """Return an attribute's name, with the place that sets it where the source is known."""
    path, name = key
    module = working.get_submodule(path)
    attribute = f"self.{name} of {type(module).__name__}"
    for base in type(module).__mro__:
        place = _setting(base, name)
        if place:
            return f"{attribute} ({place})"
    return attribute


def _setting(base: type, name: str) -> str:
    """Return file and line where a class sets an attribute outside __init__, "" if nowhere."""
    try:
        lines, first = inspect.getsourcelines(base)
        tree = ast.parse(textwrap.dedent("".join(lines)))
        file = Path(inspect.getfile(base)).name
    except (OSError, TypeError, SyntaxError):
        return ""
    for method in ast.walk(tree):
        if isinstance(method, ast.FunctionDef) and method.name != "__init__":
            for node in ast.walk(method):
                if isinstance(node, ast.Attribute) and node.attr == name and _is_set(node, method):
                    return f"{file}, line {first + node.lineno - 1}"
    return ""


def _is_set(node: ast.Attribute, method: ast.FunctionDef) -> bool:
    """Return whether an attribute is assigned, or one of its methods called, as in append."""
    if isinstance(node.ctx, ast.Store):
        return True
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.value is node
        for call in ast.walk(method)
    )
