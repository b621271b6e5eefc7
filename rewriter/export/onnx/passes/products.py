"""Products with weights: two in a row on rows, several of one operand as one; heads that are cut out of one product."""

from __future__ import annotations

from ....ir.size import is_unknown
from ..graph import Node, Tensor
from ._graphs import only_user
from ._match import Site, array

# Elementwise operators of one operand, with a kernel for float32 whatever the rank.
_ELEMENTWISE = (
    "Celu Elu Erf Gelu HardSigmoid HardSwish LeakyRelu Mish Relu Selu Sigmoid Softplus Softsign Swish Tanh"
).split()


def dense_rows(site: Site, node: Node) -> Tensor | None:
    """``f(x @ w + b) @ v + c`` of rank 3 and more -> ``Reshape(Gemm(f(Gemm(rows(x), w, b)), v, c))`` (opset 17).

    A matrix product treats all leading axes alike, ``f`` works by element, and Gemm adds the bias in the product's own
    pass: as many nodes, up to 5 % faster in ONNX Runtime 1.32 (one thread). A single product is not, so it stays, unless
    a Reshape before or after it takes the place of one of the two.
    """
    steps: list[tuple[str, Node]] = []  # from the last to the first
    tensor: Tensor | None = node.output
    dense = _dense(site, node)
    while dense is not None and dense[0] is not None:
        x, weight, bias = dense
        steps.append(("Gemm", node))
        tensor = x
        between: list[tuple[str, Node]] = []
        inner = site.inner(tensor, *_ELEMENTWISE)
        while inner is not None:
            between.append((inner.op_type, inner))
            tensor = inner.inputs[0]
            inner = site.inner(tensor, *_ELEMENTWISE)
        added = site.inner(tensor, "Add")
        dense = None if added is None else _dense(site, added)
        if dense is None or added is None:
            tensor = x
            break
        steps += between
        node = added
    if tensor is None or not steps:
        return None
    result = steps[0][1].output
    after = only_user(result, site.needed)
    beside = site.inner(tensor, "Reshape") is not None or (after is not None and after.op_type == "Reshape")
    if sum(name == "Gemm" for name, _ in steps) < 2 and not beside:
        return None
    rows = site.builder.reshape(tensor, [-1, tensor.sizes[-1]])
    for _, step in reversed(steps):
        found = _dense(site, step)
        if found is None:
            rows = site.builder.node(step.op_type, rows, *step.inputs[1:], **step.attributes)
        else:
            rows = site.builder.node("Gemm", rows, found[1], found[2])
    return site.builder.reshape(rows, result.sizes)


def _dense(site: Site, node: Node) -> tuple[Tensor, Tensor, Tensor] | None:
    """``x``, the weights and the bias of ``MatMul(x[..., K], w[K, N]) + b[N]`` in float32, rank 3 at least."""
    if node.op_type != "Add":
        return None
    for place in (0, 1):
        product, bias = site.inner(node.inputs[place], "MatMul"), node.inputs[1 - place]
        if product is None or bias is None or bias.data is None or bias.rank != 1:
            continue
        x, weight = product.inputs
        if x is None or weight is None or weight.data is None or weight.rank != 2 or weight.dtype != "float32":
            continue
        if x.known and x.rank > 2 and bias.sizes[0] == weight.sizes[1] and not any(map(is_unknown, x.sizes)):
            return x, weight, bias
    return None


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
    widths = [w.sizes[1] for w in weights if w is not None]
    whole = site.builder.node("Concat", *weights, axis=1)
    product = site.builder.node("MatMul", x, whole)
    results = [("float32", user.output.sizes) for user in group]
    parts = site.builder.several("Split", results, product, widths, axis=x.rank - 1)
    for user, part in zip(group[1:], parts[1:], strict=True):
        site.put(user.output, part)
    return parts[0]


def _joins(site: Site, node: Node, x: Tensor) -> bool:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if node.op_type != "MatMul" or node.domain or node not in site.own or node.inputs[0] is not x or weight is None:
        return False
    alone = weight.data is not None and len(weight.users) == 1 and x.users[node] == 1
    return alone and weight.rank == 2 and weight.dtype == "float32" and bool(node.output.users or node.output in site.needed)


def unstacked_heads(site: Site, node: Node) -> Tensor | None:
    """``Transpose(Reshape(x, [..., N, H, K]), N first)[n]`` -> ``Transpose(Reshape(part n of Split(x), [..., H, K]))``.

    Queries, keys and values of one product (opset 17): part ``n`` of the last axis of ``x`` is index ``n`` of its first
    factor. The Transpose then moves each part alone, and ``attention`` needs none.
    """
    turned = site.maker(node.inputs[0], "Transpose")
    split = None if turned is None else site.maker(turned.inputs[0], "Reshape")
    index = array(node.inputs[1])
    if turned is None or split is None or index is None or index.ndim or node.attributes.get("axis", 0) != 0:
        return None
    x, perm = split.inputs[0], list(turned.attributes.get("perm", ()))
    sizes = split.output.sizes if split.output.known else ()
    if x is None or not x.known or len(sizes) < 4 or not perm or perm[0] != len(sizes) - 3 or x.data is not None:
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
    index = array(node.inputs[1]) if node.op_type == "Gather" and not node.domain else None
    return index is not None and not index.ndim and node.attributes.get("axis", 0) == 0
