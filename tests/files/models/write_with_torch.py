"""Write the network with torch in all of its formats, with safetensors, and as ONNX.

python write_with_torch.py FOLDER
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from relu_network import inputs
from safetensors.torch import save_file
from torch_network import make


def main() -> None:
    """Write the files."""
    folder, net, steps = Path(sys.argv[1]), make(), torch.from_numpy(inputs())
    state = net.state_dict()
    torch.save(net, folder / "torch-module.pt")
    torch.save(state, folder / "torch-state.pth")
    torch.save(state, folder / "torch-legacy.pt", _use_new_zipfile_serialization=False)
    torch.jit.trace(net, steps).save(folder / "torch-script.pt")
    torch.export.save(torch.export.export(net, (steps,)), folder / "torch-export.pt2")
    save_file(state, folder / "torch.safetensors")
    for name, dynamo in (("torch-onnx", True), ("torch-onnx-script", False)):
        path = folder / f"{name}.onnx"
        torch.onnx.export(net, (steps,), path, dynamo=dynamo, external_data=False, verbose=False)
        session = onnxruntime.InferenceSession(path)
        (values,) = session.run(None, {session.get_inputs()[0].name: inputs()})
        np.savez_compressed(folder / f"{name}.npz", values=values)
    with torch.no_grad():
        np.savez_compressed(folder / "torch.npz", values=net(steps).numpy())
    packages = ("torch", "onnx", "onnxruntime", "safetensors")
    print(*(f"{name} {version(name)}" for name in packages))


if __name__ == "__main__":
    main()
