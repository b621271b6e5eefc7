"""Models that one version of TensorFlow saves, and what it computes: the child of ``tools/old_tensorflow.py``.

python tensorflow_child.py make DIR      save the models of the tests, and broken ones, with their inputs and outputs
python tensorflow_child.py load DIR      load the repaired files of DIR and compare
"""

from __future__ import annotations

import os
import pickle
import sys
import types
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402 - after the settings
import tensorflow as tf  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
PARTS = ("layers", "models", "backend", "optimizers", "initializers", "activations")
NATIVE = {"save_format": "keras_v3"} if tf.__version__.startswith("2.12.") else {}
OPTIONS = {".keras": NATIVE, ".folder": {"save_format": "tf"}}
TOLERANCE = 1e-5


class Absent(types.ModuleType):
    """A module of this project, which is not installed here; the models of the tests do not call it."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        return Absent(name)


def as_tf_keras() -> None:
    """Let ``import tf_keras`` find the Keras of this TensorFlow, and ``import rewriter`` nothing."""
    keras = import_module("keras")
    # 2.12 has no keras.src.
    source = import_module("keras.src") if _has("keras.src") else keras
    module = types.ModuleType("tf_keras")
    module.__dict__.update({name: getattr(tf.keras, name) for name in dir(tf.keras) if name[0] != "_"})
    module.src = source  # type: ignore[attr-defined]
    import_module(f"{source.__name__}.layers.core.tf_op_layer")
    sys.modules["tf_keras"] = module
    sys.modules.update({f"tf_keras.{part}": getattr(tf.keras, part) for part in PARTS})
    for name in (
        "rewriter",
        "rewriter.formats",
        "rewriter.formats.keras",
        "rewriter.formats.keras.upgrade",
        "rewriter.formats.variables",
    ):
        sys.modules[name] = Absent(name)


def _has(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True


def outputs(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    result = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [np.asarray(item) for item in tf.nest.flatten(result)]


def saved(model: Any, path: Path) -> bool:
    """Save a model; False if this version cannot, or does not load what it saved."""
    try:
        model.save(path, **OPTIONS.get(path.suffix, {}))
        tf.keras.models.load_model(path, compile=False)
    except (TypeError, ValueError, NotImplementedError) as error:
        print(f"not saved: {path.name}: {str(error).splitlines()[0][:80]}")
        return False
    return True


def make(folder: Path, *forms: str) -> None:
    as_tf_keras()
    oracle = import_module("tests.formats.keras.upgrade.oracle")
    cases: dict[str, Callable[[], Any]] = {}
    for name in ("layer_cases", "function_cases"):
        cases |= import_module(f"tests.formats.keras.upgrade.{name}").CASES
    found = {}
    for name, build in cases.items():
        tf.keras.backend.clear_session()
        try:
            model = oracle.randomized(build())
            inputs = oracle.inputs_for(model)
            wanted = outputs(model, inputs)
        except Exception as error:  # a layer or an argument that this version does not have
            print(f"not made: {name}: {str(error).splitlines()[0][:80]}")
            continue
        files = [folder / f"{name}{form}" for form in forms]
        found[name] = inputs, wanted, [str(path) for path in files if saved(model, path)]
    (folder / "valid.pickle").write_bytes(pickle.dumps(found))
    make_broken(folder)


def make_broken(folder: Path) -> None:
    broken = import_module("tests.formats.keras.old_form.broken")
    models = import_module("tests.formats.keras.old_form.models")
    oracle = import_module("tests.formats.keras.upgrade.oracle")
    function = broken.LargerFunction.__mro__[1]
    broken.MODULES["TFOpLambda"]["module"] = function.__module__
    found = {}
    for name, case in models.CASES.items():
        for suffix in (".h5", ".keras"):
            tf.keras.backend.clear_session()
            path = folder / f"broken_{name}{suffix}"
            try:
                valid = oracle.randomized(case.build())
                inputs = oracle.inputs_for(valid)
                wanted = outputs(valid, inputs)
                valid.save(path.with_name(f"right_{name}{suffix}"), **OPTIONS.get(suffix, {}))
                broken.write(broken.rebuilt(valid, case.drop, case.swap), path, **NATIVE)
            except Exception as error:
                print(f"not made: {path.name}: {type(error).__name__}: {str(error)[:80]}")
                continue
            found[path.name] = inputs, wanted, dict(case.at or {})
    (folder / "broken.pickle").write_bytes(pickle.dumps(found))


def load(folder: Path) -> None:
    as_tf_keras()
    import_module("tests.formats.keras.old_form.models")  # registers its layer
    for name, (inputs, wanted, _) in pickle.loads((folder / "broken.pickle").read_bytes()).items():
        path = folder / f"fixed_{name}"
        if not path.exists():
            continue
        tf.keras.backend.clear_session()
        try:
            got = outputs(tf.keras.models.load_model(path, compile=False), inputs)
        except Exception as error:
            print(f"{path.name}: does not load: {str(error)[:150]}")
            continue
        alike = all(
            a.shape == b.shape and np.abs(a - b).max() <= TOLERANCE * max(np.abs(b).max(), 1)
            for a, b in zip(got, wanted, strict=True)
        )
        print(f"{path.name}: {'equal' if alike else 'other numbers'}")


if __name__ == "__main__":
    {"make": make, "load": load}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
