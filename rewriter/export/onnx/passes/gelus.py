"""Writes the Gaussian error linear unit as one operator (opset 20)."""

from __future__ import annotations

import math

from ..graph import Node, Tensor
from ._match import Site, near, scalar, with_scalar

_ROOT_HALF = math.sqrt(0.5)
_ROOT_TWO_BY_PI = math.sqrt(2 / math.pi)


def gelu(site: Site, node: Node) -> Tensor | None:
    """``0.5 * x * (1 + Erf(x / sqrt(2)))`` in any order -> ``Gelu(x)`` (opset 20), the tanh form with ``approximate``.

    The operator is defined as these products (Operators.md, Gelu-20), the tanh form is
    ``0.5 * x * (1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``. float32 only, the type of its kernel.
    """
    found = _factors(site, node)
    if found is None or not near(found[0], 0.5) or len(found[1]) != 2 or node.output.dtype != "float32":
        return None
    for x, other in (found[1], found[1][::-1]):
        one = site.inner(other, "Add")
        parts = None if one is None else with_scalar(one)
        if parts is None or parts[1] != 1:
            continue
        curve = site.inner(parts[0], "Erf", "Tanh")
        if curve is None or not x.known or x.sizes != node.output.sizes:
            continue
        if curve.op_type == "Erf" and _is_product(site, curve.inputs[0], _ROOT_HALF, [x]):
            return site.builder.node("Gelu", x)
        if curve.op_type == "Tanh" and _is_cubic(site, curve.inputs[0], x):
            return site.builder.node("Gelu", x, approximate="tanh")
    return None


def _factors(site: Site, node: Node) -> tuple[float, list[Tensor]] | None:
    """The constant and the other factors of a product, through the products that are only used in it."""
    constant, found = 1.0, []
    waiting: list[Node] = [node]
    while waiting:
        each = waiting.pop()
        for place, tensor in enumerate(each.inputs):
            value = scalar(tensor)
            deeper = site.inner(tensor, "Mul", "Div")
            if tensor is None or (each.op_type == "Div" and place == 1 and not value):
                return None
            if value is not None:
                constant = constant / value if each.op_type == "Div" and place == 1 else constant * value
            elif deeper is not None:
                waiting.append(deeper)
            else:
                found.append(tensor)
    return constant, found


def _is_product(site: Site, tensor: Tensor | None, constant: float, factors: list[Tensor]) -> bool:
    """Whether a tensor, used once, is the product of a constant and these factors."""
    node = site.inner(tensor, "Mul", "Div", "Pow")
    if node is not None and node.op_type == "Pow":
        return constant == 1 and scalar(node.inputs[1]) == len(factors) and {node.inputs[0]} == set(factors)
    found = None if node is None else _factors(site, node)
    if found is None or not near(found[0], constant):
        return False
    spread: list[Tensor] = []
    for factor in found[1]:
        power = site.inner(factor, "Pow")
        exponent = None if power is None else scalar(power.inputs[1])
        if power is not None and exponent in (2.0, 3.0) and power.inputs[0] is not None:
            spread += [power.inputs[0]] * int(exponent)
        else:
            spread.append(factor)
    return len(spread) == len(factors) and all(a is b for a, b in zip(spread, factors, strict=True))


def _is_cubic(site: Site, tensor: Tensor | None, x: Tensor) -> bool:
    """Whether a tensor is ``sqrt(2 / pi) * (x + 0.044715 * x**3)``."""
    node = site.inner(tensor, "Mul")
    parts = None if node is None else with_scalar(node)
    total = None if parts is None else site.inner(parts[0], "Add")
    if parts is None or total is None or not near(parts[1], _ROOT_TWO_BY_PI):
        return False
    a, b = total.inputs
    cubed = b if a is x else a if b is x else None
    return cubed is not None and _is_product(site, cubed, 0.044715, [x, x, x])
