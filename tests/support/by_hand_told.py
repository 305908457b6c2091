"""A report that notes which of its values are read, and values that are not recomputed.

Nothing of the package is imported.
"""

import math
import re

# Values that are not recomputed, by the beginning of their path, and why.
NOT_BY_HAND = {
    "schema": "the number of the format",
    "speckflex": "the version of the package",
    "synthetic": "said of the data, which may be anything",
    "command": "what was typed",
    "model": "what was given",
    "data.": "what was given",
    "working_directory_commit": "git's own word",
    "board_asked": "what was asked for",
    "board_note": "words",
    "interrupted": "whether the user stopped it",
    "bars.": "what was asked for",
    "verdict": "words; its figures stand in other fields",
    "role_names.": "words",
    "checks[].message": "words",
    "checks[].remedy": "words",
    "checks[].severity": "words",
    "ladder[].remedy": "words",
    "comparisons[].first_divergence": "words; the places stand in its layers",
    "folding.layers[].norms": "names of the network's modules",
    "folding.proof_error": "needs the network in torch: the package's own proof",
    "sensitivity": "plays of the layers alone are not kept, and none was asked for",
    "ensemble": "plays with random changes are not kept, and none was asked for",
    "energy": "needs a board that measures its power",
    "losses.*.can_be_known": "words",
    "losses.*.all_known": "a fact about the kind of board, not of the run",
    "layers[].spike_difference_reason": "words",
    "comparisons[].layers[].reason": "words",
    "layers[].synops.reason": "words",
    "latency.*.reason": "words",
    "synops.limit_source": "words",
}


def named(path):
    """Return whether a path begins as one of `NOT_BY_HAND`; * there is any name."""
    patterns = [re.escape(one).replace(r"\*", "[^.]+") for one in NOT_BY_HAND]
    return any(re.match(one, path) for one in patterns)


def told(value, path, read):
    """Return a part of the report that notes the paths of its values as they are read."""
    if isinstance(value, dict):
        return ToldDict(value, path, read)
    if isinstance(value, list):
        return ToldList(value, path, read)
    read.add(path)
    return value


class ToldDict(dict):
    """An object of the report."""

    def __init__(self, values, path, read):
        self.paths = {key: f"{path}.{key}".removeprefix(".") for key in values}
        self.read = read
        super().__init__({key: told(one, self.paths[key], read) for key, one in values.items()})

    def __getitem__(self, key):
        value = super().__getitem__(key)
        if not isinstance(value, dict | list):
            self.read.add(self.paths[key])
        return value

    def items(self):
        return [(key, self[key]) for key in self]


class ToldList(list):
    """A list of the report; its entries have one path."""

    def __init__(self, values, path, read):
        self.path, self.read = f"{path}[]", read
        super().__init__([told(one, self.path, read) for one in values])

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index):
        value = super().__getitem__(index)
        if not isinstance(value, dict | list):
            self.read.add(self.path)
        return value


def plain(value):
    """Return a value of the report, all of it read."""
    if isinstance(value, ToldDict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, ToldList) else value


class Figures:
    """Counts figures and holds each against the one computed by hand."""

    def __init__(self):
        self.count = 0

    def same(self, name, stated, by_hand):
        """Fail where a stated figure is not the one by hand, but for rounding of floats."""
        self.count += 1
        stated = plain(stated)
        alike = (
            math.isclose(stated, by_hand, rel_tol=1e-9, abs_tol=1e-12)
            if isinstance(stated, float) and isinstance(by_hand, float | int)
            else stated == by_hand
        )
        assert alike, f"{name}: the report says {stated!r}, by hand it is {by_hand!r}"

    def interval(self, stated, share, n):
        """Hold an interval against Wilson's formula (1927) at 95 %."""
        z = 1.959963984540054
        centre = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        for end, by_hand in zip(stated, (centre - half, centre + half), strict=True):
            self.same("interval", round(end, 9), round(by_hand, 9))
