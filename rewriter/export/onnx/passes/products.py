"""Products with weights: those with a bias on rows, several of one operand as one; heads cut out of one product."""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.size import Size, is_unknown, product
from ..graph import Node, Tensor, array_of
from ._match import Site

# Elementwise operators of one operand, with a kernel for float32 whatever the rank.
_ELEMENTWISE_NAMES = (
    "Celu Elu Erf Gelu HardSigmoid HardSwish LeakyRelu Mish Relu Selu Sigmoid Softplus Softsign Tanh"
)
_ELEMENTWISE = _ELEMENTWISE_NAMES.split()


def dense_rows(site: Site, node: Node) -> Tensor | None:
    """``f(x @ w + b) @ v + c`` of rank 3 and more -> ``Reshape(Gemm(f(Gemm(rows(x), w, b)), v, c))`` (opset 17).

    A matrix product treats all leading axes alike, ``f`` works by element, and Gemm adds the bias in the product's own
    pass: up to 10 % faster in ONNX Runtime 1.32 (one thread), also for a single product.
    """
    steps = _steps(site, node)
    first = _dense(site, steps[-1]) if steps else None
    if first is None:
        return None
    x = first[0]
    rows = site.builder.reshape(x, [product(x.sizes[:-1]), x.sizes[-1]])
    for step in reversed(steps):
        found = _dense(site, step)
        if found is None:
            rows = site.builder.node(step.op_type, rows, **step.attributes)
        else:
            rows = site.builder.node("Gemm", rows, *found[1:])
    return site.builder.reshape(rows, node.output.sizes)


def _steps(site: Site, node: Node) -> list[Node]:
    """The sums of products with a bias that follow one another, with elementwise nodes between, the last first."""
    steps: list[Node] = []
    found = _dense(site, node)
    while found is not None:
        steps.append(node)
        tensor, between = found[0], []
        while (inner := site.inner(tensor, *_ELEMENTWISE)) is not None and inner.inputs[0] is not None:
            between.append(inner)
            tensor = inner.inputs[0]
        before = site.inner(tensor, "Add")
        found = None if before is None else _dense(site, before)
        if before is not None and found is not None:
            steps += between
            node = before
    return steps


def _dense(site: Site, node: Node) -> tuple[Tensor, Tensor, Tensor] | None:
    """``x``, the weights and the bias of ``MatMul(x[..., K], w[K, N]) + b[N]`` in float32, rank 3 at least."""
    if node.op_type != "Add":
        return None
    for place in (0, 1):
        matmul, bias = site.inner(node.inputs[place], "MatMul"), node.inputs[1 - place]
        if matmul is None or bias is None or bias.data is None or bias.rank != 1:
            continue
        x, weight = matmul.inputs
        if (
            x is None
            or weight is None
            or weight.data is None
            or weight.rank != 2
            or weight.dtype != "float32"
        ):
            continue
        if x.known and x.rank > 2 and bias.sizes[0] == weight.sizes[1] and _restored(x.sizes):
            return x, weight, bias
    return None


def _restored(sizes: Sequence[Size]) -> bool:
    """Whether a Reshape with constant sizes makes these from rows: at most one, the batch, is open."""
    return not any(map(is_unknown, sizes)) and all(isinstance(size, int) for size in sizes[1:])


def joined_products(site: Site, node: Node) -> Tensor | None:
    """``x @ a, x @ b`` with one step, ``x[B, 1, K]`` -> ``Split(x @ Concat(a, b))`` (opset 17).

    Columns of a product do not meet. Only for a single step, as in decoding: there a product is bound by its start;
    with more rows, cutting the result apart again costs more than it saves.
    """
    x, weight = node.inputs
    if x is None or not x.known or x.rank < 3 or any(size != 1 for size in x.sizes[1:-1]):
        return None
    group = [user for user in x.users if _joins(site, user, x)]
    if len(group) < 2 or group[0] is not node or weight is None:
        return None
    weights = [user.inputs[1] for user in group]
    widths = [size for w in weights if w is not None and isinstance(size := w.sizes[1], int)]
    whole = site.builder.node("Concat", *weights, axis=1)
    results = [("float32", user.output.sizes) for user in group]
    joined = site.builder.node("MatMul", x, whole)
    parts = site.builder.several("Split", results, joined, widths, axis=x.rank - 1)
    for user, part in zip(group[1:], parts[1:], strict=True):
        site.put(user.output, part)
    return parts[0]


def _joins(site: Site, node: Node, x: Tensor) -> bool:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if (
        node.op_type != "MatMul"
        or node.domain
        or node not in site.own
        or node.inputs[0] is not x
        or weight is None
    ):
        return False
    alone = weight.data is not None and len(weight.users) == 1 and x.users[node] == 1
    return (
        alone
        and weight.rank == 2
        and weight.dtype == "float32"
        and bool(node.output.users or node.output in site.needed)
    )


def unstacked_heads(site: Site, node: Node) -> Tensor | None:
    """``Transpose(Reshape(x, [..., N, H, K]), N first)[n]`` -> ``Transpose(Reshape(part n of Split(x), [..., H, K]))``.

    Queries, keys and values of one product (opset 17): part ``n`` of the last axis of ``x`` is index ``n`` of its first
    factor. The Transpose then moves each part alone, and ``attention`` needs none.
    """
    turned = site.maker(node.inputs[0], "Transpose")
    split = None if turned is None else site.maker(turned.inputs[0], "Reshape")
    index = array_of(node.inputs[1])
    if turned is None or split is None or index is None or index.ndim or node.attributes.get("axis", 0) != 0:
        return None
    x, perm = split.inputs[0], list(turned.attributes.get("perm", ()))
    sizes = split.output.sizes if split.output.known else ()
    if (
        x is None
        or not x.known
        or len(sizes) < 4
        or not perm
        or perm[0] != len(sizes) - 3
        or x.data is not None
    ):
        return None
    count = sizes[-3]
    if sizes[:-3] != x.sizes[:-1] or any(map(is_unknown, sizes)) or not isinstance(count, int):
        return None
    if not all(_takes_one(user) for user in turned.output.users) or turned.output in site.needed:
        return None
    width = x.sizes[-1]
    if not isinstance(width, int) or not -count <= int(index) < count:
        return None
    part_sizes = (*x.sizes[:-1], width // count)
    parts = site.builder.several(
        "Split", [(x.dtype, part_sizes)] * count, x, [width // count] * count, axis=x.rank - 1
    )
    part = site.builder.reshape(parts[int(index) % count], [*sizes[:-3], *sizes[-2:]])
    order = [p - (p > perm[0]) for p in perm[1:]]
    return site.builder.node("Transpose", part, perm=order)


def _takes_one(node: Node) -> bool:
    index = array_of(node.inputs[1]) if node.op_type == "Gather" and not node.domain else None
    return index is not None and not index.ndim and node.attributes.get("axis", 0) == 0
