"""Compile the passes of training for a GPU that need not be there, and print what each takes.

python tests/support/compile_if_triton.py sm_90
"""

import re
import sys
from itertools import product

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from speckflex.kernels import if_triton

FLOATS = {
    "forward": ("threshold", "most_spikes", "step", "low"),
    "backward": ("threshold", "most_spikes", "step", "low", "height", "sharpness"),
}
CONSTANTS = {
    "forward": {"TO_VALUE": (False, True), "BOUNDED": (False, True), "KEEP": (False, True)},
    "backward": {"TO_VALUE": (False, True), "BOUNDED": (False, True), "KIND": (0, 1, 2)},
}
COUNTS = ("n_rows", "n_steps", "n_neurons")


def kind_of(name, floats, constants):
    """Return the type of one argument in Triton's words."""
    if name in constants:
        return "constexpr"
    if name in COUNTS:
        return "i32"
    return "fp32" if name in floats else "*fp32"


def compiled(kernel, floats, constants, target):
    """Return a kernel's PTX, machine code and metadata."""
    signature = {name: kind_of(name, floats, constants) for name in kernel.arg_names}
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    source = ASTSource(kernel, signature, constexprs=places)
    return triton.compile(source, target=target, options={"enable_fp_fusion": False})


def main():
    """Compile every variant of both passes."""
    architecture = sys.argv[1]
    target = GPUTarget("cuda", int(architecture[3:]), 32)
    for name, choices in CONSTANTS.items():
        kernel = getattr(if_triton, f"_{name}")
        for values in product(*choices.values()):
            constants = dict(zip(choices, values, strict=True)) | {"BLOCK": if_triton.BLOCK}
            done = compiled(kernel, FLOATS[name], constants, target)
            assert f".target {architecture}" in done.asm["ptx"]
            fused = len(re.findall(r"\bfma\.rn\.f32", done.asm["ptx"]))
            size = len(done.asm["cubin"])
            shown = " ".join(f"{key}={value}" for key, value in constants.items())
            sys.stdout.write(f"{name} {shown}: {size} bytes of code, {fused} fused\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
