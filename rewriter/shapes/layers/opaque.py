"""Layers of ``keras.layers`` whose result cannot be inferred from their configuration, each with its reason."""

from __future__ import annotations

from ..call import Call, OpaqueError, layer

OPAQUE: dict[str, str] = {
    "FlaxLayer": "its computation is a Flax module, which the file holds as code",
    "JaxLayer": "its computation is a JAX function, which the file holds as code",
    "Lambda": "its computation is Python code, which is not run",
    "Layer": "the base class computes nothing",
    "TFSMLayer": "its computation is a SavedModel outside the file",
    "TorchModuleWrapper": "its computation is a pickled PyTorch module, which is not loaded",
    "Wrapper": "the base class has no call of its own",
}


@layer(*OPAQUE)
def opaque(call: Call) -> object:
    """``f(x) -> ?``."""
    raise OpaqueError(OPAQUE[call.operation.class_name])
