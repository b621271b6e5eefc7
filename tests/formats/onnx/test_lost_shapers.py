"""Valid ONNX files without one Unsqueeze, Squeeze, Reshape or Transpose: repaired exactly, or refused; never silent.

`tools/mutate_onnx.py` removes the nodes, and ONNX Runtime judges. The rows name the outcome of each mutant.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

import rewriter
from tools import mutate_onnx as tool

RANDOM = np.random.default_rng(5)
HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'


def weights(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {name: RANDOM.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def whole(**numbers: list[int]) -> dict[str, np.ndarray]:
    return {name: np.array(value, np.int64) for name, value in numbers.items()}


GATE = (
    """g (float[N, 3, 5, 7] x) => (float[N, 6, 5, 7] y) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w)
        p = ReduceMean <axes = [2, 3], keepdims = 0> (c)
        d = MatMul (p, k)
        s = Sigmoid (d)
        u = Unsqueeze (s, places)
        y = Mul (c, u)
    }""",
    weights(w=(6, 3, 3, 3), k=(6, 6)) | whole(places=[2, 3]),
)
SCORES = (
    """g (float[N, T, 4] x, float[N, T] m) => (float[N, T, 4] y) {
        q = MatMul (x, k)
        t = Transpose <perm = [0, 2, 1]> (x)
        s = MatMul (q, t)
        u = Unsqueeze (m, middle)
        a = Add (s, u)
        p = Softmax <axis = -1> (a)
        y = MatMul (p, x)
    }""",
    weights(k=(4, 4)) | whole(middle=[1]),
)
# The weights of a matrix for each sample: 20 factors are 5 rows of 4.
ROWS = (
    """g (float[N, 2] z, float[N, 4] x) => (float[N, 5] y) {
        d = MatMul (z, k)
        r = Reshape (d, rows)
        u = Unsqueeze (x, middle)
        m = Mul (r, u)
        y = ReduceSum <keepdims = 0> (m, last)
    }""",
    weights(k=(2, 20)) | whole(rows=[-1, 5, 4], middle=[1], last=[-1]),
)
# A mean over steps with weights, as a product of matrices.
POOLED = (
    """g (float[N, 5, 4] x) => (float[N, 4] y) {
        e = MatMul (x, k)
        s = Squeeze (e, last)
        p = Softmax <axis = 1> (s)
        r = Unsqueeze (p, middle)
        m = MatMul (r, x)
        y = Squeeze (m, middle)
    }""",
    weights(k=(4, 1)) | whole(middle=[1], last=[2]),
)
# Channels last between convolutions with channels first.
LAYOUTS = (
    """g (float[N, 5, 7, 3] x) => (float[N, 4, 5, 7] y) {
        f = Transpose <perm = [0, 3, 1, 2]> (x)
        c = Conv <pads = [1, 1, 1, 1]> (f, w)
        l = Transpose <perm = [0, 2, 3, 1]> (c)
        p = ReduceMean <axes = [1, 2], keepdims = 0> (l)
        s = MatMul (p, k)
        r = Reshape (s, four)
        m = Mul (l, r)
        b = Transpose <perm = [0, 3, 1, 2]> (m)
        y = Conv (b, v)
    }""",
    weights(w=(6, 3, 3, 3), k=(6, 6), v=(4, 6, 1, 1)) | whole(four=[-1, 1, 1, 6]),
)
# The layout of the result: nothing after the product shows it.
LAST = (
    """g (float[N, 5, 7, 3] x) => (float[N, 10, 14, 3] y) {
        f = Transpose <perm = [0, 3, 1, 2]> (x)
        i = Resize <mode = "nearest"> (f, , scales)
        l = Transpose <perm = [0, 2, 3, 1]> (i)
        p = ReduceMean <axes = [1, 2], keepdims = 0> (x)
        r = Reshape (p, four)
        y = Mul (l, r)
    }""",
    {"scales": np.array([1, 1, 2, 2], np.float32)} | whole(four=[-1, 1, 1, 3]),
)
# Scores of graph attention: a row and a column of one vector.
PAIRS = (
    """g (float[N, 5, 4] x) => (float[N, 5, 5] y) {
        f = Reshape (x, rows)
        d = MatMul (f, k)
        c = Reshape (d, column)
        r = Reshape (c, row)
        y = Add (c, r)
    }""",
    weights(k=(4, 1)) | whole(rows=[-1, 4], column=[-1, 5, 1], row=[-1, 1, 5]),
)
# A vector that is repeated for each step.
REPEATED = (
    """g (float[N, 10, 4] x, float[N, 4] z) => (float[N, 10, 4] y) {
        u = Unsqueeze (z, middle)
        e = Expand (u, steps)
        y = Sub (x, e)
    }""",
    whole(middle=[1], steps=[1, 10, 1]),
)
# Attention with a bias for each pair of positions.
BIASED = (
    """g (float[N, 9, 8] x) => (float[N, 2, 9, 9] y) {
        h = Reshape (x, heads)
        q = Transpose <perm = [0, 2, 1, 3]> (h)
        t = Transpose <perm = [0, 2, 3, 1]> (h)
        s = MatMul (q, t)
        y = Add (s, b)
    }""",
    weights(b=(1, 2, 9, 9)) | whole(heads=[-1, 9, 2, 4]),
)
# Steps first in the states of a recurrent layer, whose one direction is squeezed.
STATES = (
    """g (float[N, 5, 4] x) => (float[N, 6] y) {
        t = Transpose <perm = [1, 0, 2]> (x)
        h = LSTM <hidden_size = 6> (t, w, r)
        s = Squeeze (h, one)
        b = Transpose <perm = [1, 0, 2]> (s)
        e = MatMul (b, k)
        p = Softmax <axis = 1> (e)
        m = Mul (b, p)
        y = ReduceSum <keepdims = 0> (m, one)
    }""",
    weights(w=(1, 24, 4), r=(1, 24, 6), k=(6, 1)) | whole(one=[1]),
)
# Votes of capsules: weights of a softmax on data that lost an axis of size 1.
ROUTING = (
    """g (float[N, 5, 8] x) => (float[N, 3, 4] y) {
        i = Unsqueeze (x, ends)
        u = MatMul (w, i)
        s = Squeeze (u, last)
        e = ReduceSum <keepdims = 0> (s, minus)
        p = Softmax <axis = 2> (e)
        c = Unsqueeze (p, minus)
        m = Mul (c, s)
        y = ReduceSum <keepdims = 0> (m, one)
    }""",
    weights(w=(5, 3, 4, 8)) | whole(ends=[2, 4], last=[4], minus=[-1], one=[1]),
)
# Graph attention with a bias between the Reshape and the Unsqueeze.
BIASED_PAIRS = (
    """g (float[N, 5, 4] x) => (float[N, 5, 5] y) {
        f = Reshape (x, rows)
        d = MatMul (f, k)
        c = Reshape (d, column)
        r = Reshape (d, flat)
        b = Add (r, bias)
        u = Unsqueeze (b, one)
        y = Add (c, u)
    }""",
    weights(k=(4, 1), bias=(1,)) | whole(rows=[-1, 4], column=[-1, 5, 1], flat=[-1, 5], one=[1]),
)
# Attention whose keys are scaled after they are transposed; there are as many heads as features in each.
SCALED = (
    """g (float[N, 7, 16] x) => (float[N, 7, 16] y) {
        a = MatMul (x, wq)
        c = MatMul (x, wk)
        d = MatMul (x, wv)
        h = Reshape (a, heads)
        i = Reshape (c, heads)
        j = Reshape (d, heads)
        q = Transpose <perm = [0, 2, 1, 3]> (h)
        k = Transpose <perm = [0, 2, 1, 3]> (i)
        v = Transpose <perm = [0, 2, 1, 3]> (j)
        t = Transpose <perm = [0, 1, 3, 2]> (k)
        z = Mul (t, half)
        s = MatMul (q, z)
        p = Softmax <axis = -1> (s)
        o = MatMul (p, v)
        b = Transpose <perm = [0, 2, 1, 3]> (o)
        y = Reshape (b, flat)
    }""",
    weights(half=(1,), wq=(16, 16), wk=(16, 16), wv=(16, 16)) | whole(heads=[-1, 7, 4, 4], flat=[-1, 7, 16]),
)
# Convolutions of sequences, as exporters write them: with a height of 1. All sizes are equal.
SEQUENCES = (
    """g (float[N, 6, 6] x) => (float[N, 6, 6] y) {
        i = Unsqueeze (x, two)
        a = Conv (i, v)
        s = Squeeze (a, two)
        e = Add (s, bias)
        t = Tanh (e)
        b = Conv (i, w)
        r = Squeeze (b, two)
        m = Mul (t, r)
        o = Unsqueeze (m, two)
        c = Conv (o, v)
        y = Squeeze (c, two)
    }""",
    weights(v=(6, 6, 1, 1), w=(6, 6, 1, 1), bias=(1, 6, 1)) | whole(two=[2]),
)
# Each mutant, and its outcome; "" where it computes the same.
MODELS = {
    "gate": (GATE, {"Mul y [1] without Unsqueeze": "exact"}),
    "scores": (
        SCORES,
        {"MatMul s [1] without Transpose": "refused", "Add a [1] without Unsqueeze": "refused"},
    ),
    "rows": (ROWS, {"Mul m [0] without Reshape": "refused", "Mul m [1] without Unsqueeze": "exact"}),
    "pooled": (POOLED, {"MatMul m [0] without Unsqueeze": "unproven"}),
    "layouts": (LAYOUTS, {"Mul m [0] without Transpose": "exact", "Mul m [1] without Reshape": "exact"}),
    "last": (LAST, {"Mul y [0] without Transpose": "refused", "Mul y [1] without Reshape": "exact"}),
    "pairs": (
        PAIRS,
        {
            "MatMul d [0] without Reshape": "",
            "Add y [0] without Reshape": "runs",
            "Add y [1] without Reshape": "runs",
            "Add y [1] without Reshape, Reshape": "refused",
        },
    ),
    "repeated": (
        REPEATED,
        {
            "Sub y [1] without Expand": "",
            "Sub y [1] without Expand, Unsqueeze": "exact",
            "Sub y [1] without Unsqueeze": "refused",
        },
    ),
    "biased": (
        BIASED,
        {
            "MatMul s [0] without Transpose": "refused",
            "MatMul s [0] without Transpose, Reshape": "refused",
            "MatMul s [1] without Transpose": "refused",
            "MatMul s [1] without Transpose, Reshape": "refused",
        },
    ),
    "routing": (
        ROUTING,
        {
            "MatMul u [1] without Unsqueeze": "refused",
            "Mul m [0] without Unsqueeze": "exact",
            "Mul m [1] without Squeeze": "refused",
        },
    ),
    "biased pairs": (
        BIASED_PAIRS,
        {
            "MatMul d [0] without Reshape": "",
            "Add b [0] without Reshape": "refused",
            "Add y [0] without Reshape": "runs",
            "Add y [1] without Unsqueeze": "refused",
        },
    ),
    "scaled": (
        SCALED,
        {
            f"{node} without {lost}": "refused"
            for node, next_ in (
                ("Mul z [0]", "Transpose"),
                ("MatMul s [0]", "Reshape"),
                ("MatMul o [1]", "Reshape"),
            )
            for lost in ("Transpose", f"Transpose, {next_}")
        },
    ),
    "sequences": (
        SEQUENCES,
        {"Add e [0] without Squeeze": "refused", "Mul m [1] without Squeeze": "refused"},
    ),
    "states": (
        STATES,
        {
            "MatMul e [0] without Transpose": "refused",
            "MatMul e [0] without Transpose, Squeeze": "refused",
            "Mul m [0] without Transpose": "refused",
            "Mul m [0] without Transpose, Squeeze": "refused",
        },
    ),
}


def parsed(text: str, constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    proto = parser.parse_model(HEAD + text)
    proto.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items())
    return proto


def model(text: str, constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    proto = parsed(text, constants)
    onnx.checker.check_model(proto, full_check=True)
    return proto


@pytest.mark.parametrize("name", MODELS)
def test_a_lost_node_is_put_back_or_refused(name, tmp_path):
    (text, constants), wanted = MODELS[name]
    original = tool.Original(model(text, constants))
    onnx.save(original.model, tmp_path / "valid.onnx")
    found = rewriter.check(tmp_path / "valid.onnx", ops="all").findings
    assert [f for f in found if f.severity.value != "info"] == []
    outcomes = {}
    for mutant in tool.mutants(original.model, "drop"):
        outcomes[mutant.name], _ = tool.outcome(original, mutant, "all", tmp_path)
    assert outcomes == wanted


@pytest.mark.parametrize("nodes", ["y = Mul (x, z)", "y = Add (x, z)", "y = MatMul (x, z)"])
def test_a_named_size_crosswise_is_an_error(nodes, tmp_path):
    """``[N, T, 4]`` and ``[N, 4, T]``, or their product of matrices with 4 and T exchanged: right only where T is 4."""
    turned = "T, 4" if "MatMul" in nodes else "4, T"
    text = f"g (float[N, T, 4] x, float[N, {turned}] z) => (float[a, b, c] y) {{ {nodes} }}"
    onnx.save(model(text, {}), tmp_path / "m.onnx")
    (finding,) = rewriter.check(tmp_path / "m.onnx", ops="all").findings
    assert finding.severity.value == "error"


@pytest.mark.parametrize("second", ["[1, 9, 4]", "[N, T, 4]", "[N, 1, 4]", "[T, 4]"])
def test_a_named_size_beside_numbers_elsewhere_is_none(second, tmp_path):
    """An open size that has to be a number may be declared too widely: nothing shows an error."""
    text = f"g (float[N, T, 4] x, float{second} z) => (float[a, b, c] y) {{ y = Mul (x, z) }}"
    onnx.save(model(text, {}), tmp_path / "m.onnx")
    found = rewriter.check(tmp_path / "m.onnx", ops="all").findings
    assert {f.severity.value for f in found} <= {"info"}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("p = Softmax <axis = 2> (x)\n y = Mul (p, p)", "p"),
        ("u = Unsqueeze (x, one)\n m = Mul (x, u)\n y = Reshape (m, whole)", "y"),
    ],
    ids=["axis", "pairs"],
)
def test_a_node_that_cannot_run_is_named(body, where, tmp_path):
    text = f"g (float[N, 6] x, float[N, 3] z) => (float[a, b] y) {{ {body} }}"
    onnx.save(parsed(text, whole(one=[1], whole=[-1, 36])), tmp_path / "m.onnx")
    found = rewriter.check(tmp_path / "m.onnx", ops="all").findings
    assert [(f.node, f.code) for f in found] == [(where, "RW001")]


def test_a_batch_is_not_squeezed(tmp_path):
    """A convolution shows the batch. Without it, an open axis may be 1."""
    for conv, severity in (("c = Conv (x, w)", "error"), ("c = Relu (x)", "info")):
        text = f"g (float[N, 3, 4, 4] x) => (float[a, b, c] y) {{ {conv}\n y = Squeeze (c, zero) }}"
        onnx.save(parsed(text, whole(zero=[0]) | weights(w=(3, 3, 1, 1))), tmp_path / "m.onnx")
        found = rewriter.check(tmp_path / "m.onnx", ops="all").findings
        assert [(f.node, f.severity.value) for f in found] == [("y", severity)]


def test_the_search_over_ties_has_a_budget(monkeypatch, tmp_path):
    """Products with several readings each, which meet: not decided where trying them all costs too much."""
    inputs = ", ".join(f"float[2, 3, 1, 2, 2] {n}0, float[2, 3, 4, 2] {n}1" for n in "abc")
    products = "\n".join(f"{n} = Mul ({n}0, {n}1)" for n in "abc")
    rest = "ab = Sub (a, b)\n v = Concat <axis = -1> (ab, c)\n y = Transpose <perm = [0, 2, 1, 3]> (v)"
    text = f"g ({inputs}) => (float[u, v, w] y) {{ {products}\n {rest} }}"
    onnx.save(parsed(text, {}), tmp_path / "m.onnx")
    tried = [f.why for f in rewriter.check(tmp_path / "m.onnx", ops="all").findings]
    assert len(tried) > 2
    assert not any("too many" in why for why in tried)
    monkeypatch.setattr("rewriter.passes.suppositions._MIN_COMBINATIONS", 4)
    monkeypatch.setattr("rewriter.passes.suppositions._COMBINATIONS_PER_NODE", 0)
    found = rewriter.check(tmp_path / "m.onnx", ops="all").findings
    assert all(f.choice is None for f in found)
    assert "too many combinations of readings, 4 were tried" in found[0].why
