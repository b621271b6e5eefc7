"""The names of a model's custom classes and functions in its saved file.

Keras saves a custom class or function by its name only: two functions of one name, or one called ``relu``, are loaded
as something else, and a lambda as its bytecode without what it refers to (``core/lambda_layer.py``,
``saving/serialization_lib.py`` and ``activations/__init__.py``, Keras 3.15). In a file of a model in memory each such
function has a unique name, which means the same object while that file is loaded.
"""

from __future__ import annotations

import functools
import threading
import types
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..errors import UnsupportedError, shown
from .library import Library, is_compiled, is_functional, is_keras_class

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)
# Functions of these packages are Keras's own, or Keras replaces them by its own of the same name.
_KNOWN = ("keras", "tf_keras", "tensorflow")
_SAVING = threading.RLock()


class Names:
    """Custom objects by their names in a saved model: ``objects`` is for ``custom_objects`` of Keras."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.objects: dict[str, Any] = {}
        self.functions: list[Any] = []
        self.cannot_load = ""  # why Keras cannot load a file with these names
        self.mistaken = ""  # why Keras loads another function without them

    def entry(self, item: Any) -> dict[str, Any]:
        """The entry for an object in a configuration: Keras loads it as a registered function."""
        number = next((k for k, other in enumerate(self.functions) if other is item), None)
        if number is None:
            number = len(self.functions)
            self.functions.append(item)
        name = f"rewriter.{number}"
        self.objects[name] = item
        module = str(getattr(item, "__module__", None) or "builtins")
        return {"module": module, "class_name": "function", "config": name, "registered_name": name}

    def add(self, item: Any) -> None:
        """Add a class or function under the name that Keras gives it.

        Raises:
            UnsupportedError: another class or function has that name.
        """
        name = self.library.module.saving.get_registered_name(item)
        if self.objects.setdefault(name, item) is not item:
            raise UnsupportedError(
                f"two classes or functions of the model are called {shown(name)!r}: Keras identifies them by name only"
            )
        if self.library.module.saving.get_custom_objects().get(name, item) is not item:
            self.cannot_load = f"{shown(name)!r} is now registered for another class or function"

    def by_their_own(self) -> dict[str, Any]:
        """The objects by their names in a file that Keras writes on its own."""
        name_of = self.library.module.saving.get_registered_name
        named = [item for item in self.functions if hasattr(item, "__name__") and isinstance(item, Hashable)]
        return {**self.objects, **{name_of(item): item for item in named}}


def is_own_function(item: Any) -> bool:
    """True for a function that is not from Keras or TensorFlow."""
    if not isinstance(item, _FUNCTIONS):
        return False
    module = getattr(item, "__module__", None) or ""
    return module.partition(".")[0] not in _KNOWN


def names_of(model: Any, library: Library) -> Names:
    """The names of all custom classes in a model, and of the custom functions it is compiled with."""
    names = Names(library)
    for item in _objects(model):
        for value in (item, *vars(item).values()):
            if _has_config(value) and not is_keras_class(type(value)):
                names.add(type(value))
    for item in _compiled_with(model):
        for value in (item, *vars(item).values()) if _has_config(item) else ():
            if is_own_function(value) and hasattr(value, "__name__"):
                names.add(value)
            elif _has_config(value) and not is_keras_class(type(value)):
                names.add(type(value))
    return names


def _has_config(item: Any) -> bool:
    return hasattr(type(item), "get_config")


def _objects(model: Any) -> Iterator[Any]:
    """The model, all of its layers, and every operation that is not a layer."""
    for layer in model._flatten_layers():
        yield layer
        if is_functional(layer):
            yield from getattr(layer, "operations", ())


def _compiled_with(model: Any) -> list[Any]:
    """The optimizers, losses and metrics of the models, as the caller gave them."""
    found: list[Any] = []
    for layer in model._flatten_layers():
        config = getattr(getattr(layer, "_compile_config", None), "config", None)
        if isinstance(config, dict):
            found += leaves_of(config)
    return found


def leaves_of(item: Any) -> list[Any]:
    """The leaves of nested dicts, lists and tuples."""
    if isinstance(item, dict):
        item = list(item.values())
    return [leaf for part in item for leaf in leaves_of(part)] if isinstance(item, (list, tuple)) else [item]


# -- the configuration of a model -----------------------------
@contextmanager
def named(model: Any, names: Names) -> Iterator[None]:
    """Within the block, a model's configuration has these names in place of functions. One thread at a time.

    ``get_config`` and ``get_compile_config`` of the objects are replaced in the block, without Keras's tracking of
    attributes; nothing else changes.
    """
    with _SAVING, ExitStack() as stack:
        for item in _objects(model):
            if isinstance(item, names.library.module.layers.Layer):
                config = _config_of_lambda if type(item) is names.library.module.layers.Lambda else _config
                stack.enter_context(_covered(item, "get_config", functools.partial(config, item, names)))
            if hasattr(getattr(item, "_compile_config", None), "config"):
                compiled = functools.partial(_compile_config, item, names)
                stack.enter_context(_covered(item, "get_compile_config", compiled))
        yield


@contextmanager
def _covered(item: Any, name: str, function: Callable[[], Any]) -> Iterator[None]:
    if name in vars(item):  # the caller has replaced the method
        yield
        return
    object.__setattr__(item, name, function)
    try:
        yield
    finally:
        object.__delattr__(item, name)


@contextmanager
def _as_it_is(item: Any, name: str) -> Iterator[None]:
    """Within the block, a replaced method is the object's own again: Keras checks whether it is overridden."""
    cover = vars(item)[name]
    object.__delattr__(item, name)
    try:
        yield
    finally:
        object.__setattr__(item, name, cover)


def _config(layer: Any, names: Names) -> dict[str, Any]:
    with _as_it_is(layer, "get_config"):
        config: dict[str, Any] = layer.get_config()
    if getattr(layer, "lora_enabled", False):
        names.cannot_load = (
            f"{shown(layer.name)!r} has LoRA enabled, which Keras merges into its weights when it saves: repair the "
            "model before enable_lora"
        )
    if not isinstance(config, dict):
        return config
    for key, stated in config.items():
        live = _attribute(layer, key)
        if (
            is_own_function(live)
            and getattr(live, "__self__", None) is not layer
            and _stands(stated, live, names)
        ):
            if isinstance(stated, str):
                name = f"{shown(layer.name)!r}"
                names.mistaken = (
                    f"{name}: Keras saves its {key} under the name of a Keras function ({stated})"
                )
            config[key] = names.entry(live)
    return config


def _attribute(layer: Any, key: str) -> Any:
    for name in (key, f"_{key}"):
        try:
            return getattr(layer, name)
        except Exception:  # a custom property may raise anything
            continue
    return None


def _stands(stated: Any, live: Any, names: Names) -> bool:
    """Whether a part of a configuration stands for a function: serialised, or the name of a Keras function."""
    if stated is live:
        return True
    if isinstance(stated, str):
        return hasattr(names.library.module.activations, stated)
    return isinstance(stated, dict) and stated.get("class_name", "__lambda__") in ("function", "__lambda__")


def _config_of_lambda(layer: Any, names: Names) -> dict[str, Any]:
    """The configuration of a Lambda layer without the code of its functions.

    Source: ``Lambda.get_config`` in ``layers/core/lambda_layer.py``, Keras 3.15 and tf_keras 2.21.
    """
    with _as_it_is(layer, "get_config"):
        config: dict[str, Any] = names.library.module.layers.Layer.get_config(layer)
    legacy = names.library.legacy
    for key, value in (
        ("function", layer.function),
        ("output_shape", layer._output_shape),
        ("mask", layer.mask),
    ):
        if legacy and (value is not None or key != "mask"):
            kind, said = ("function", names.entry(value)["config"]) if callable(value) else ("raw", value)
            config |= {
                key: said,
                f"{key}_type": kind,
                "module" if key == "function" else f"{key}_module": None,
            }
        elif value is not None:
            config[key] = names.entry(value) if callable(value) or key == "mask" else value
    if layer.mask is not None and not legacy:
        names.cannot_load = f"{shown(layer.name)!r} is a Lambda with a mask, which Keras 3 does not load"
    arguments = layer.arguments or {}
    config["arguments"] = arguments if legacy else {k: _argument(v, names) for k, v in arguments.items()}
    return config


def _argument(value: Any, names: Names) -> Any:
    return value if value is None or type(value) in (bool, int, float, str) else names.entry(value)


def _compile_config(model: Any, names: Names) -> Any:
    if not is_keras_class(_owner(model, "get_compile_config")) or not is_compiled(model):
        with _as_it_is(model, "get_compile_config"):
            return model.get_compile_config()
    return names.library.module.saving.serialize_keras_object(_replaced(model._compile_config.config, names))


def _owner(model: Any, name: str) -> type:
    return next(base for base in type(model).__mro__ if name in vars(base))


def _replaced(item: Any, names: Names) -> Any:
    if isinstance(item, dict):
        return {key: _replaced(value, names) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_replaced(value, names) for value in item]
    return names.entry(item) if is_own_function(item) else item
