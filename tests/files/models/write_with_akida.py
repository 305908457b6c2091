"""Write a small model with Akida.

python write_with_akida.py akida.fbz
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import akida


def main() -> None:
    """Write the file."""
    model = akida.Model()
    model.add(akida.InputData((4, 4, 2)))
    model.add(akida.FullyConnected(3))
    model.save(sys.argv[1])
    print(f"akida {version('akida')}")


if __name__ == "__main__":
    main()
