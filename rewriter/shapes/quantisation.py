"""How a layer's weights are quantised, from its dtype policy (keras/src/dtype_policies/dtype_policy.py, Keras 3.15)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODES = frozenset({"int8", "int4", "float8", "gptq", "awq"})
# The variables of Dense and EinsumDense in the order in which they are saved; a layer without a bias leaves it out.
_VARIABLES = {
    "int8": "kernel bias kernel_scale",
    "int4": "kernel bias kernel_scale kernel_zero g_idx",
    "float8": "kernel bias inputs_scale inputs_amax_history kernel_scale",
    "gptq": "bias kernel kernel_scale kernel_zero g_idx",
    "awq": "bias kernel kernel_scale kernel_zero awq_scales g_idx",
}


@dataclass(frozen=True, slots=True)
class Quantisation:
    """A mode of Keras, the bits of a weight, and whether groups of rows have scales of their own."""

    mode: str
    bits: int
    grouped: bool

    def variable(self, name: str, bias: bool) -> str:
        """The place of a variable of Dense or EinsumDense in the layer's group: ``vars/2``."""
        names = [each for each in _VARIABLES[self.mode].split() if bias or each != "bias"]
        return f"vars/{names.index(name)}"


def quantisation_of(config: Mapping[str, Any]) -> Quantisation | None:
    """The quantisation of a layer's configuration; None where its policy is not a quantised one.

    A policy is a string (``int4/128_from_float32``), a ``QuantizedDTypePolicy`` with a mode (``int4/128``), or a
    ``DTypePolicyMap`` with one of these for the layer's name. Modes are ``int8``, ``float8``, ``int4`` and
    ``int4/<rows of a group, or -1>``, ``gptq/<bits>/<rows>`` and ``awq/<bits>/<rows>``.
    """
    mode = _mode(config.get("dtype"), str(config.get("name")))
    name, *numbers = mode.split("/")
    if name not in MODES:
        return None
    bits = {"int4": 4, "gptq": 4, "awq": 4}.get(name, 8)
    if name == "gptq" and numbers and numbers[0].isdigit():
        bits = int(numbers[0])
    return Quantisation(name, bits, name in ("gptq", "awq") or bool(numbers and numbers[-1] != "-1"))


def _mode(policy: Any, name: str) -> str:
    if isinstance(policy, str):
        mode, by, _ = policy.partition("_from_")
        return mode if by else ""
    inner = policy.get("config") if isinstance(policy, dict) else None
    if not isinstance(inner, dict):
        return ""
    chosen = inner.get("policy_map")
    if isinstance(chosen, dict):
        return next((_mode(held, name) for path, held in chosen.items() if path.split("/")[-1] == name), "")
    stated = inner.get("mode")
    return stated if isinstance(stated, str) else ""
