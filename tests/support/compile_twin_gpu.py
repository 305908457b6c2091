"""Compile the twin's kernels for a GPU that need not be there, and print what each takes.

    python tests/support/compile_twin_gpu.py sm_90

Exits with 2 where NVVM or ptxas is missing: 'pip install speckflex[cuda]' brings both.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from numba import cuda, int8, int16, int32, int64
from numba.cuda import dispatcher
from numba.cuda.cudadrv import nvvm
from numba.np.numpy_support import from_dtype

from speckflex.kernels.cuda_batch import GATHERING, begin_batch, gather_batch, leak_batch
from speckflex.kernels.cuda_integrate import (
    DEVICE_CORE,
    FIELD,
    FRAME,
    PART,
    PROGRESS,
    TALLY,
    integrate_batch,
    integrate_depth_first,
)
from speckflex.kernels.records import EDGE

CODES, TIMES, TABLE = int32[::1], int64[::1], int64[:, ::1]
RECORDS = (DEVICE_CORE, EDGE, FIELD, GATHERING, PART, PROGRESS)
ROWS = {dtype: from_dtype(dtype)[::1] for dtype in RECORDS}
SIGNATURES = {
    integrate_batch: (
        *(CODES, TIMES, int64, int64, ROWS[PART], ROWS[FIELD], int8[::1], ROWS[DEVICE_CORE]),
        *(int16[:, ::1], TABLE, int32[:, ::1], TABLE, ROWS[PROGRESS]),
    ),
    integrate_depth_first: (
        *(CODES, TIMES, int64, TIMES, ROWS[EDGE], TIMES, ROWS[DEVICE_CORE], ROWS[FIELD]),
        *(int8[::1], int16[::1], TIMES, int32[:, ::1], int32[:, :, ::1], int64[:, :, ::1]),
        *(TIMES, from_dtype(FRAME)[:, ::1], from_dtype(TALLY)[:, ::1]),
    ),
    begin_batch: (int16[::1], int16[:, ::1], TABLE),
    leak_batch: (int16[::1], int64, int64[::1], int16[:, ::1]),
    gather_batch: (CODES, TIMES, int64, ROWS[GATHERING], CODES, TIMES),
}


def find_ptxas():
    """Return where NVIDIA's assembler is; None where it is not."""
    for folder in map(Path, sys.path):
        for found in folder.glob("nvidia/*/bin/ptxas"):
            return str(found)
    return shutil.which("ptxas")


def assemble(ptxas, ptx, architecture):
    """Return the registers, shared memory and spills that ptxas tells."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx, encoding="utf-8")
        command = [ptxas, "-v", f"-arch={architecture}", str(source), "-o", str(source) + ".cubin"]
        told = subprocess.run(  # noqa: S603 - NVIDIA's assembler on our own kernel
            command, check=True, capture_output=True, text=True
        ).stderr
    spills = sum(map(int, re.findall(r"(\d+) bytes spill", told)))
    registers = re.findall(r"Used (\d+) registers", told)
    shared = re.findall(r"(\d+) bytes smem", told) or ["0"]
    frame = re.findall(r"(\d+) bytes stack", told)[0]
    return (
        f"{registers[0]} registers, {shared[0]} bytes shared, {frame} bytes of stack,"
        f" {spills} bytes of spills"
    )


def main():
    """Compile all kernels; exit with 2 where that can't be done here."""
    architecture = sys.argv[1]
    capability = (int(architecture[3:-1]), int(architecture[-1]))
    ptxas = find_ptxas()
    if ptxas is None or not nvvm.is_available():
        sys.stdout.write("NVVM and ptxas are not both here: pip install 'speckflex[cuda]'\n")
        return 2
    # device functions ask the GPU that is there, and there need not be one
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    for kernel, signature in SIGNATURES.items():
        ptx, _ = cuda.compile_ptx(kernel.py_func, signature, cc=capability)
        sys.stdout.write(f"{kernel.__name__} {assemble(ptxas, ptx, architecture)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
