"""Write the network with TensorFlow: TFLite, and Keras' ONNX export through tf2onnx.

KERAS_BACKEND=tensorflow python write_with_tensorflow.py FOLDER
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf
from onnx.reference import ReferenceEvaluator
from relu_network import inputs
from write_with_keras import network, other_layers


def main() -> None:
    """Write the files."""
    folder, net = Path(sys.argv[1]), network()
    maps = inputs().transpose(0, 2, 3, 1)
    converter = tf.lite.TFLiteConverter.from_keras_model(net)
    (folder / "tensorflow.tflite").write_bytes(converter.convert())
    for name, each in (("tensorflow", net), ("tensorflow-layers", other_layers())):
        made = each.predict(maps, verbose=0)  # without a call, the exporter knows no shapes
        each.export(folder / f"{name}.onnx", format="onnx", verbose=False)
        graph = ReferenceEvaluator(onnx.load(folder / f"{name}.onnx"))
        (values,) = graph.run(None, {graph.input_names[0]: maps})
        np.savez_compressed(folder / f"{name}.npz", values=values, keras=made)
    print(*(f"{name} {version(name)}" for name in ("tensorflow-cpu", "keras", "tf2onnx", "onnx")))


if __name__ == "__main__":
    main()
