"""Print the licences of all packages that speckflex asks for, and of those that these ask for.

    python tests/support/licences.py

A package that names a known hole in itself can't be found without a network: `pip-audit` asks a
database for that.
"""

import re
import sys
from importlib import metadata

from packaging.requirements import Requirement

LONGEST = 60


def licence_of(package):
    """Return the licence that a package states."""
    about = metadata.metadata(package)
    stated = about.get("License-Expression") or ""
    classes = [
        c.split("::")[-1].strip() for c in about.get_all("Classifier") or () if "License ::" in c
    ]
    stated = stated or ", ".join(classes) or (about.get("License") or "not stated").splitlines()[0]
    return stated[:LONGEST]


def needed(root):
    """Return the installed packages that one needs, in any depth, each with who asks for it."""
    found, todo = {}, [root]
    while todo:
        name = todo.pop()
        for text in metadata.requires(name) or ():
            wanted = Requirement(text)
            if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
                continue
            key = re.sub(r"[-_.]+", "-", wanted.name).lower()
            try:
                metadata.version(key)
            except metadata.PackageNotFoundError:
                continue
            if key not in found:
                found[key] = name
                todo.append(key)
    return found


def main():
    """Print the table."""
    sys.stdout.write("| package | licence | asked for by |\n| --- | --- | --- |\n")
    for name, owner in sorted(needed("speckflex").items()):
        sys.stdout.write(f"| {name} {metadata.version(name)} | {licence_of(name)} | {owner} |\n")


if __name__ == "__main__":
    main()
