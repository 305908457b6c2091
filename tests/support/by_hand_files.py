"""The files of a run as `docs/formats.md` describes them, and what is counted in them.

Nothing of the package is imported.
"""

import io
import json
import math
import zipfile
from itertools import pairwise

import h5py
import numpy as np


class Played:
    """One recording, as its file has it."""

    def __init__(self, path):
        with h5py.File(path) as file:
            self.manifest = json.loads(file["manifest"][()])
            self.labels = file["labels"][:].astype(int) if "labels" in file else None
            self.logs = {name: file[f"samples/{name}"][:].astype(int) for name in file["samples"]}
            groups = [file[f"layers/{n}"] for n in range(len(self.manifest["layers"]))]
            self.counts = [group["counts"][:].astype(int) for group in groups]
            self.potentials = [
                group["potentials"][:].astype(int) if "potentials" in group else None
                for group in groups
            ]
            self.events = [
                _events(group["events"]) if "events" in group else [] for group in groups
            ]

    @property
    def scores(self):
        """(sample, class) what the last layer scores."""
        last = self.potentials[-1]
        return (self.counts[-1] if last is None else last).sum((2, 3))

    @property
    def answers(self):
        """The class of each sample, None for no answer."""
        return [int(row.argmax()) if row.any() else None for row in self.scores]

    @property
    def output(self):
        """Position of the last layer that is read by its spikes."""
        spiking = [n for n, values in enumerate(self.potentials) if values is None]
        return (spiking or range(len(self.counts)))[-1]


def _events(group):
    offsets = group["offsets"][:].astype(int)
    columns = {name: group[name][:].astype(int) for name in "txyp"}
    return [
        {name: column[start:stop] for name, column in columns.items()}
        for start, stop in pairwise(offsets)
    ]


def read_program(path):
    """Return cores and input stage as plain data, weights as int arrays, and the manifest."""
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        program = manifest["program"]
        for index, core in enumerate(program["cores"]):
            for name in ("weights", "initial_state"):
                if core[name] is not None:
                    data = io.BytesIO(archive.read(f"cores/{index}/{name}.npy"))
                    core[name] = np.load(data, allow_pickle=False).astype(int)
    return program, manifest


def difference(s, other):
    """Return Eq. 16, None where it has no finite value."""
    total = int(s.sum())
    return int(np.abs(s - other).sum()) / total if total else None


def cosine(a, b):
    """Return the cosine of two arrays, None where one of them is all zero."""
    lengths = math.sqrt(float((a * a).sum())) * math.sqrt(float((b * b).sum()))
    return float((a * b).sum()) / lengths if lengths else None


def share_right(played, labels):
    """Return the accuracy, None without labels."""
    if labels is None or not (labels >= 0).any():
        return None
    pairs = [(a, t) for a, t in zip(played.answers, labels.tolist(), strict=True) if t >= 0]
    return sum(a == t for a, t in pairs) / len(pairs)
