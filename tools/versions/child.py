"""One version of Keras runs this: `python child.py write FOLDER` or `python child.py compare FOLDER`.

`write` makes the models of `models.py`, the truth and numbers of each, and the arguments of the inserted classes.
`compare` loads every `NAME.fixed.*` there and prints one JSON object per line: the case, and what is wrong or "".
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

import models

INSERTED = (
    "Reshape",
    "Transpose",
    "ExpandDims",
    "Squeeze",
    "Tile",
    "Repeat",
    "Any",
    "Where",
    "Matmul",
    "Slice",
    "Concatenate",
)
SLOTS = (
    "_momentums",
    "_velocities",
    "_average_gradients",
    "_model_variables_moving_average",
    "_accumulated_gradients",
)
VERSION = tuple(int(part) for part in keras.__version__.split(".")[:2])


def write(folder: Path) -> None:
    (folder / "signatures.json").write_text(json.dumps(signatures(), indent=1))
    made = []
    for case in models.CASES:
        if case.since > VERSION:
            continue
        try:
            _write(case, folder)
        except Exception as error:
            print(json.dumps({"case": case.name, "wrong": f"not made: {_line(error)}"}))
        else:
            facts = {f.name: getattr(case, f.name) for f in dataclasses.fields(case)}
            plain = {key: value for key, value in facts.items() if not callable(value)}
            made.append(plain | {"edited": case.edited})
    (folder / "cases.json").write_text(json.dumps(made, indent=1))


def _write(case: models.Case, folder: Path) -> None:
    truth = _built(case, True)
    _compiled(case, truth)
    broken = truth
    if not case.edited:
        broken = _built(case, False)
        for name, layer in _layers(truth).items():
            if layer.get_weights():
                _layers(broken)[name].set_weights(layer.get_weights())
        _compiled(case, broken)
    for model in {id(m): m for m in (truth, broken)}.values():
        if case.finish:
            case.finish(model)
    truth.save(folder / f"{case.name}.truth.keras")
    if not case.form:
        keras.saving.save_model(broken, folder / case.name, zipped=False)
    elif not case.edited:
        broken.save(folder / f"{case.name}{case.form}")
    if case.form == ".h5":  # before 3.8 Keras loses the axis of a layer there
        truth.save(folder / f"{case.name}.truth.h5")
        truth = keras.saving.load_model(folder / f"{case.name}.truth.h5", compile=False)
    arrays = {}
    for batch in case.batches:
        given = _inputs(truth, batch)
        arrays |= {f"in_{batch}_{k}": x for k, x in enumerate(given)}
        arrays |= {f"out_{batch}_{k}": y for k, y in enumerate(_run(truth, given))}
    np.savez(folder / f"{case.name}.npz", **arrays)


def compare(folder: Path) -> None:
    for case in models.CASES:
        path = folder / f"{case.name}.fixed{case.form}"
        if path.exists():
            try:
                wrong = _compared(case, path, folder)
            except Exception as error:
                wrong = _line(error)
            print(json.dumps({"case": case.name, "wrong": wrong}), flush=True)


def _compared(case: models.Case, path: Path, folder: Path) -> str:
    keras.backend.clear_session()
    truth_path = folder / f"{case.name}.truth.keras"
    try:
        truth = keras.saving.load_model(truth_path)
    except Exception as error:
        return f"its own file does not load: {_line(error)}"
    if case.optimizer and (wrong := _state_is_wrong(truth)):
        return f"in its own file {wrong}"
    try:
        fixed = keras.saving.load_model(path)
    except Exception as error:
        return f"does not load: {_line(error)}"
    for name, layer in _layers(truth).items():
        mine = _layers(fixed).get(name)
        for a, b in zip(layer.get_weights(), mine.get_weights() if mine else [], strict=False):
            if a.shape != b.shape or (a != b).any():
                return f"{name} has the weights of another layer"
    if case.optimizer and (wrong := _state_is_wrong(fixed)):
        return wrong
    arrays = np.load(folder / f"{case.name}.npz")
    half = any("float16" in str(layer.compute_dtype) for layer in truth.layers)
    for batch in case.batches:
        given = [arrays[f"in_{batch}_{k}"] for k in range(len(truth.inputs))]
        for k, got in enumerate(_run(fixed, given)):
            wanted = arrays[f"out_{batch}_{k}"]
            if got.shape != wanted.shape:
                return f"batch {batch}: {got.shape} for {wanted.shape}"
            if not np.allclose(got, wanted, 1e-2 if half else 1e-5, 1e-2 if half else 1e-6):
                return f"batch {batch}: off by {np.abs(got - wanted).max():.2g}"
    again = folder / f"{case.name}.again{case.form or '.keras'}"
    fixed.save(again)
    keras.saving.load_model(again)
    return ""


def signatures() -> dict[str, list[str]]:
    """The configuration keys of the class of every inserted node: `{"Reshape": ["newshape"]}`."""
    found = {}
    for name in INSERTED:
        family = keras.src.ops.core if name == "Slice" else keras.src.ops.numpy
        parameters = inspect.signature(getattr(family, name).__init__).parameters
        found[name] = [key for key in parameters if key != "self"]
    return found


def _built(case: models.Case, fix: bool) -> Any:
    keras.backend.clear_session()
    keras.utils.set_random_seed(7)
    model = case.build(fix)
    rng = np.random.default_rng(5)
    for variable in model.variables:
        if "float" in str(variable.dtype):
            value = np.asarray(keras.ops.convert_to_numpy(variable), "float32")
            variable.assign(value + rng.normal(0, 0.1, value.shape))
    return model


def _compiled(case: models.Case, model: Any) -> None:
    if not case.optimizer:
        return
    model.compile(case.optimizer(), keras.losses.MeanSquaredError())
    model.optimizer.build(model.trainable_variables)
    for key, slot in _slots(model):
        slot.assign(_number(key, tuple(slot.shape)))


def _state_is_wrong(model: Any) -> str:
    for key, slot in _slots(model):
        value = np.asarray(keras.ops.convert_to_numpy(slot))
        if not np.array_equal(value, _number(key, value.shape)):
            return f"the optimizer's {key} is another variable's"
    return ""


def _slots(model: Any) -> list[tuple[str, Any]]:
    """The optimizer's variables, each named after its model variable."""
    found = []
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    for kind in SLOTS:
        slots = getattr(optimizer, kind, [])
        found += [(f"{v.path} {kind}", s) for v, s in zip(model.trainable_variables, slots, strict=False)]
    return found


def _number(key: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(key.encode())).uniform(0.1, 1, shape).astype("float32")


def _layers(model: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        if hasattr(inner, "layers"):
            found |= _layers(inner, f"{prefix}{layer.name}/")
        else:
            found[prefix + layer.name] = layer
    return found


def _inputs(model: Any, batch: int) -> list[np.ndarray]:
    rng = np.random.default_rng(batch)
    shapes = [
        [(batch if k == 0 else 5) if n is None else n for k, n in enumerate(t.shape)] for t in model.inputs
    ]
    return [rng.normal(0.5, 1, shape).astype("float32") for shape in shapes]


def _run(model: Any, given: list[np.ndarray]) -> list[np.ndarray]:
    out = model(given if len(given) > 1 else given[0], training=False)
    out = out if isinstance(out, (list, tuple)) else [out]
    return [np.asarray(keras.ops.convert_to_numpy(y)) for y in out]


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:300]}"


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](Path(sys.argv[2]))
