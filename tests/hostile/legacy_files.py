"""Hostile HDF5 models, each with its honest twin: made by h5py in the form of Keras 2."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from rewriter.files.hdf5 import Hdf5Index
from tests.hostile.archives import ArchiveCase

KERNEL = "model_weights/dense/dense/kernel:0"
SIDE = 50_000_000
_LAYER = {"trainable": True, "dtype": "float32", "units": 3, "activation": "linear", "use_bias": True}
CONFIG = {
    "class_name": "Sequential",
    "config": {
        "name": "model",
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {"batch_input_shape": [None, 4], "dtype": "float32", "sparse": False, "name": "x"},
            },
            {"class_name": "Dense", "config": {"name": "dense", **_LAYER}},
            {"class_name": "Dense", "config": {"name": "last", **_LAYER}},
        ],
    },
}


def made(change: Callable[[Any], Any] | None = None, **options: Any) -> bytes:
    """The file, changed by a function through h5py."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", **options) as file:
        file.attrs["model_config"] = json.dumps(CONFIG).encode()
        file.attrs["keras_version"], file.attrs["backend"] = b"2.9.0", b"tensorflow"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([b"dense", b"last"])
        for name, size in (("dense", 4), ("last", 3)):
            names = [f"{name}/kernel:0", f"{name}/bias:0"]
            group = weights.create_group(name)
            group.attrs["weight_names"] = np.array([each.encode() for each in names])
            for each, shape in zip(names, ((size, 3), (3,)), strict=True):
                group[each] = np.ones(shape, "f4")
        if change is not None:
            change(file)
    return stream.getvalue()


def kernel(array: Any = None, **options: Any) -> Callable[[Any], None]:
    """Replace a kernel by another array; without an array, store the same one in another form."""

    def change(file: Any) -> None:
        old = file[KERNEL][()]
        del file[KERNEL]
        if "shape" in options:
            file.create_dataset(KERNEL, dtype="f4", **options)
        else:
            file.create_dataset(KERNEL, data=old if array is None else array, **options)

    return change


def attribute(path: str, name: str, value: Any) -> Callable[[Any], None]:
    return lambda file: (file[path] if path else file).attrs.__setitem__(name, value)


def link(path: str, kind: str, *target: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        import h5py

        if path in file:
            del file[path]
        file[path] = getattr(h5py, kind)(*target)

    return change


def _virtual(file: Any) -> None:
    import h5py

    layout = h5py.VirtualLayout(shape=(4, 3), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4, 3))
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


def _without(path: str) -> Callable[[Any], None]:
    return lambda file: file.__delitem__(path)


def _shared_texts() -> bytes:
    """Thousands of layer names that share one long string of the heap."""

    def change(file: Any) -> None:
        import h5py

        kind = h5py.string_dtype("ascii")
        del file["model_weights"].attrs["layer_names"]
        file["model_weights"].attrs["layer_names"] = np.array([b"n" * 4000, *([b"m"] * 3000)], kind)

    data = bytearray(made(change))
    found = Hdf5Index(bytes(data)).find_attribute("model_weights", "layer_names")
    assert found is not None
    start, end = found.content, found.content + 16 * 3001
    data[start:end] = data[start : start + 16] * 3001
    return bytes(data)


def gate() -> bytes:
    """A functional model with a product."""

    def source(name: str, *shape: int) -> dict[str, Any]:
        config = {"batch_input_shape": [None, *shape], "dtype": "float32", "sparse": False, "name": name}
        return {"class_name": "InputLayer", "name": name, "config": config, "inbound_nodes": []}

    def layer(class_name: str, name: str, config: dict[str, Any], *inputs: str) -> dict[str, Any]:
        nodes = [[[each, 0, 0, {}] for each in inputs]]
        config = {"name": name, "trainable": True, "dtype": "float32", **config}
        return {"class_name": class_name, "name": name, "config": config, "inbound_nodes": nodes}

    layers = [
        source("x", 5, 4, 3),
        source("y", 4),
        layer("Dense", "dense", _LAYER, "y"),
        layer("Multiply", "product", {}, "x", "dense"),
        layer("Dense", "last", _LAYER, "product"),
    ]
    config = {"name": "model", "layers": layers, "input_layers": [["x", 0, 0], ["y", 0, 0]]}
    config["output_layers"] = [["last", 0, 0]]
    return made(
        attribute("", "model_config", json.dumps({"class_name": "Functional", "config": config}).encode())
    )


def with_lambda() -> bytes:
    """A Lambda with marshalled code, as Keras 2 writes it."""
    code = {"name": "run", "function": ["4wEA\n", None, None], "function_type": "lambda", "arguments": {}}
    config = json.loads(json.dumps(CONFIG))
    config["config"]["layers"].append({"class_name": "Lambda", "config": code})

    def change(file: Any) -> None:
        file.attrs["model_config"] = json.dumps(config).encode()
        file.create_group("model_weights/run").attrs["weight_names"] = np.array([])
        file["model_weights"].attrs["layer_names"] = np.array([b"dense", b"last", b"run"])

    return made(change)


def _case(
    name: str, change: Callable[[Any], Any], words: str, twin: Callable[[Any], Any] | None = None
) -> ArchiveCase:
    return ArchiveCase(f"h5-{name}", lambda: made(change), words, lambda: made(twin))


def _latest(name: str, change: Callable[[Any], Any], words: str) -> ArchiveCase:
    return ArchiveCase(
        f"h5-{name}", lambda: made(change, libver="latest"), words, lambda: made(libver="latest")
    )


PACKED = {"chunks": (2, 2), "compression": "gzip", "shuffle": True, "fletcher32": True}
CASES = [
    _case("without-model", _without("model_weights"), "no layer_names"),
    _case("config-a-number", attribute("", "model_config", 7), "not text"),
    _case("config-no-json", attribute("", "model_config", b"{"), "model_config is not JSON"),
    _case("config-key-twice", attribute("", "model_config", b'{"a": 1, "a": 2}'), "'a' twice"),
    _case("layer-twice", attribute("model_weights", "layer_names", [b"dense", b"dense"]), "dense twice"),
    _case("layer-without-group", attribute("model_weights", "layer_names", [b"dense", b"none"]), "layer none"),
    _case("layer-names-a-number", attribute("model_weights", "layer_names", [1, 2]), "not a list of names"),
    _case("layer-name-of-another-place", attribute("model_weights", "layer_names", [b"/model_weights/dense", b"last"]),
          "impossible"),
    _case("layer-name-a-path", attribute("model_weights", "layer_names", [b"dense", b"../last"]), "layer ../last"),
    _case("weight-missing", _without(KERNEL), "no weight"),
    _case("weight-a-group", lambda file: (file.__delitem__(KERNEL), file.create_group(KERNEL)), "no weight"),
    _case("soft-link", link(KERNEL, "SoftLink", "/model_weights/last/last/kernel:0"), "soft link"),
    _case("link-to-another-file", link(KERNEL, "ExternalLink", "/etc/passwd", "/a"), "external"),
    _latest("soft-link-of-newer-files", link(KERNEL, "SoftLink", "/a"), "soft link"),
    _latest("link-of-newer-files-to-another", link(KERNEL, "ExternalLink", "/etc/passwd", "/a"), "external"),
    _case("link-cycle", lambda file: file["model_weights"].__setitem__("again", file["model_weights"]), "twice"),
    _case("virtual", _virtual, "virtual dataset"),
    _case("in-another-file", kernel(shape=(4, 3), external=[("/etc/passwd", 0, 48)]), "another file"),
    _case("bomb", kernel(shape=(SIDE, SIDE)), "stores 0", kernel(np.ones((4, 3)))),
    _case("bomb-in-chunks", kernel(shape=(SIDE, SIDE), chunks=(100, 100), compression="gzip"), "stores 0",
          kernel(**PACKED)),
    _case("unknown-filter", kernel(chunks=(2, 2), compression="lzf"), "filter lzf", kernel(**PACKED)),
    ArchiveCase("h5-texts-that-share-their-bytes", _shared_texts, "share their bytes", made),
    ArchiveCase("h5-no-model", lambda: _plain(lambda file: file.__setitem__("x", 1)), "neither a Keras model", made),
    ArchiveCase("h5-of-keras-0", lambda: _plain(attribute("", "nb_layers", 2)), "before 1.0", made),
]  # fmt: skip


def _plain(fill: Callable[[Any], Any]) -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    return stream.getvalue()
