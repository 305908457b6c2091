"""The keys of a state dict under the names that a network gives them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from speckflex.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

__all__ = ["renamed"]

log = logging.getLogger(__name__)

COMPILED, PARALLEL = "_orig_mod", "module"


def renamed(
    state: Mapping[str, torch.Tensor], needed: Sequence[str], source: str
) -> dict[str, torch.Tensor]:
    """Return a state dict under the keys of a network, as far as wrappers explain the difference.

    `torch.compile` puts `_orig_mod` and `DataParallel` puts `module` before a module's keys. A
    Lightning module, or any other that holds the network, puts the name of its attribute there;
    the keys outside of it are left out, which is logged.

    Args:
        state: of the file.
        needed: the keys of the network's weights.
        source: what messages begin with.

    Raises:
        NetworkError: the network is held under two names.
    """
    variants = list(_without_wrappers(state))
    best = max(variants, key=lambda keys: sum(key in keys for key in needed))
    if not needed or any(key in best for key in needed):
        return {new: state[old] for new, old in best.items()}
    for keys in variants:
        prefixes = _prefixes(keys, needed)
        if len(prefixes) > 1:
            raise NetworkError(
                f"{source}: has the network's keys {len(prefixes)} times, under"
                f" {' and '.join(prefixes)}: save the state dict of one of them"
            )
        for prefix in prefixes:
            left = [key for key in keys if not key.startswith(prefix)]
            if left:
                log.warning(
                    "%s: the network is under %s: %d other tensors, such as %s, are left out",
                    source,
                    prefix,
                    len(left),
                    left[0],
                )
            return {
                new.removeprefix(prefix): state[old]
                for new, old in keys.items()
                if new.startswith(prefix)
            }
    return dict(state)


def _without_wrappers(state: Mapping[str, torch.Tensor]) -> Iterator[dict[str, str]]:
    """Yield the file's keys by what they become, from the fewest changes to the most."""
    yield {key: key for key in state}
    plain = {_without(key, COMPILED): key for key in state}
    yield plain
    stripped = dict(plain)
    while stripped and all(key.startswith(f"{PARALLEL}.") for key in stripped):
        stripped = {key.removeprefix(f"{PARALLEL}."): old for key, old in stripped.items()}
    yield stripped
    bare = {_without(_without(key, COMPILED), PARALLEL): key for key in state}
    if len(bare) == len(state):
        yield bare


def _without(key: str, wrapper: str) -> str:
    return ".".join(part for part in key.split(".") if part != wrapper)


def _prefixes(keys: Mapping[str, str], needed: Sequence[str]) -> list[str]:
    """Return what may stand before each of the network's keys."""
    ends = (key.removesuffix(needed[0]) for key in keys if key.endswith(f".{needed[0]}"))
    return [end for end in ends if all(f"{end}{key}" in keys for key in needed)]
