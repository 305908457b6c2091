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
from torch import nn
from torch.nn import functional
from torch_network import make


class OtherLayers(nn.Module):
    """A forward of functions, with layers that exporters take apart."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 3, padding="same", groups=2)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(6, 5, bias=False)
        for values in (self.norm.weight, self.norm.bias, self.norm.running_var):
            nn.init.uniform_(values, 0.5, 1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a score for each class."""
        x = functional.relu(self.norm(self.first(x)))
        x = functional.adaptive_avg_pool2d(functional.relu(self.second(x)), 1)
        return functional.log_softmax(self.last(self.drop(torch.flatten(x, 1))), 1)


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
    other = OtherLayers().eval()
    for name, each, dynamo in (
        ("torch-onnx", net, True),
        ("torch-onnx-script", net, False),
        ("torch-onnx-layers", other, True),
        ("torch-onnx-script-layers", other, False),
    ):
        path = folder / f"{name}.onnx"
        torch.onnx.export(each, (steps,), path, dynamo=dynamo, external_data=False, verbose=False)
        session = onnxruntime.InferenceSession(path)
        (values,) = session.run(None, {session.get_inputs()[0].name: inputs()})
        np.savez_compressed(folder / f"{name}.npz", values=values)
    torch.onnx.export(net, (steps,), folder / "torch-onnx-beside.onnx", verbose=False)
    with torch.no_grad():
        np.savez_compressed(folder / "torch.npz", values=net(steps).numpy())
    packages = ("torch", "onnx", "onnxruntime", "safetensors")
    print(*(f"{name} {version(name)}" for name in packages))


if __name__ == "__main__":
    main()
