"""Read spike data that speckflex wrote with the nir package, and keep what it reads.

python read_data_with_nir.py IN.nir OUT.npz
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np


def main() -> None:
    """Write the arrays, by node and field; write the data again, and check that it stays."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    data = nir.read_data(source)
    nir.write_data(out.with_suffix(".again"), data)
    again = nir.read_data(out.with_suffix(".again"))
    out.with_suffix(".again").unlink()
    found = {}
    for name, node in data.nodes.items():
        for kind, values in node.observables.items():
            for field, value in vars(values).items():
                found[f"{name}/{kind}/{field}"] = np.asarray(value)
                kept = getattr(again.nodes[name].observables[kind], field)
                assert np.array_equal(value, kept), (name, kind, field)
    np.savez_compressed(out, **found)
    print(f"{source}: nir {version('nir')}, {sorted(found)}")


if __name__ == "__main__":
    main()
