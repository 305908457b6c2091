"""Write the network with Keras in all of its formats, and as ONNX.

KERAS_BACKEND=torch python write_with_keras.py FOLDER
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import onnxruntime
from keras import layers
from relu_network import EPSILON, INPUT_SHAPE, inputs, weights


def network() -> keras.Model:
    """Return the network; Keras' maps are (y, x, channel), and so are its flattened values."""
    values = weights()
    channels, height, width = INPUT_SHAPE
    net = keras.Sequential(
        [
            keras.Input((height, width, channels)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.AveragePooling2D(2),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(epsilon=EPSILON),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    linear = values["linear"].reshape(5, 4, 2, 2).transpose(2, 3, 1, 0).reshape(16, 5)
    norm = [values[name] for name in ("gain", "shift", "mean", "variance")]
    net.layers[0].set_weights([values["conv1"].transpose(2, 3, 1, 0), values["bias1"]])
    net.layers[2].set_weights([values["conv2"].transpose(2, 3, 1, 0), values["bias2"]])
    net.layers[3].set_weights(norm)
    net.layers[6].set_weights([linear, values["bias3"]])
    return net


def other_layers() -> keras.Model:
    """Return a network of the layers that exporters take apart: strides, padding, global means."""
    keras.utils.set_random_seed(0)
    channels, height, width = INPUT_SHAPE
    net = keras.Sequential(
        [
            keras.Input((height, width, channels)),
            layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            layers.ZeroPadding2D(((1, 0), (2, 1))),
            layers.SeparableConv2D(6, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(5, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(2)
    net.layers[1].set_weights([rng.uniform(0.5, 1.5, 4) for _ in range(4)])
    return net


def main() -> None:
    """Write the files."""
    folder, net = Path(sys.argv[1]), network()
    maps = inputs().transpose(0, 2, 3, 1)
    net.save(folder / "keras.keras")
    net.save(folder / "keras.h5")
    net.save_weights(folder / "keras.weights.h5")
    for name, each in (("keras", net), ("keras-layers", other_layers())):
        made = each.predict(maps, verbose=0)  # without a call, the exporter knows no shapes
        each.export(folder / f"{name}.onnx", format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
        (values,) = session.run(None, {session.get_inputs()[0].name: maps})
        np.savez_compressed(folder / f"{name}.npz", values=values, keras=made)
    packages = ("keras", "torch", "onnx", "onnxruntime")
    print(keras.backend.backend(), *(f"{name} {version(name)}" for name in packages))


if __name__ == "__main__":
    main()
