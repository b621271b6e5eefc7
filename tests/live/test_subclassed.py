"""Subclassed models: their functional parts are checked and repaired; the code between them is reported as unknown."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import keras
import numpy as np
import pytest
from keras import layers, ops

import rewriter
from rewriter.report import as_json, text
from rewriter.report.console import rendered
from rewriter.rules.table import builtin
from tests import support
from tests.live.common import agrees, gate, gated, image, kinds, picture

SCHEMA = Path(__file__).parent.parent / "data" / "contract.schema.json"


class Net(keras.Model):
    """Parts in an attribute, a list, a dict and a layer; one is reached twice, one was never built."""

    def __init__(self):
        super().__init__(name="net")
        self.encoder = gated()
        self.same = self.encoder
        self.blocks = [keras.Sequential([keras.Input((5, 11, 7)), layers.Conv2D(7, 1)]), gated(channels=6)]
        self._private = {"deep": [gated(channels=3)]}
        self.head = Head()
        self.plain = layers.Conv2D(2, 1)
        self.lazy = keras.Sequential([layers.Dense(2)], name="lazy")

    def call(self, x):
        return self.head(self.plain(self.blocks[0](self.encoder(x))))


class Head(layers.Layer):
    def __init__(self):
        super().__init__()
        x = keras.Input((4, 6), name="x")
        y = keras.Input((6,), name="y")
        self.mix = keras.Model({"x": x, "y": y}, layers.Multiply()([x, layers.RepeatVector(4)(y)]))

    def call(self, x):
        return x


@pytest.fixture(scope="module")
def net():
    return Net()


def test_every_part_is_found_under_its_attributes(net):
    before = picture(net)
    report = rewriter.check(net)
    assert picture(net) == before
    names = [f.node.partition("/")[0] for f in report.findings if str(f.kind) == "batch-misaligned"]
    assert names == ["encoder", "blocks.1", "_private.deep.0"]
    assert report.multiplies == 4
    assert (report.verdicts.wrong, report.verdicts.right) == (3, 1)
    assert not report.clean
    assert report.path == "net"
    unknown = {f.node: f.message for f in report.findings if str(f.kind) == "not-analysed"}
    assert "never built" in unknown["lazy"]
    assert "'Net' combines its parts" in unknown["call"]
    assert "encoder" in unknown["call"]
    assert "head.mix" in unknown["call"]


def test_the_report_can_be_shown(net):
    report = rewriter.check(net)
    shown = rendered(*text.report(report, builtin(), 200), width=200)
    assert "'Net' combines its parts" in shown
    assert "encoder/" in shown
    jsonschema.validate(as_json.report(report), json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_parts_are_repaired_with_their_weights(net):
    before = picture(net)
    result = rewriter.repair(net)
    assert picture(net) == before
    assert result.model is None
    assert list(result.parts) == ["encoder", "blocks.0", "blocks.1", "_private.deep.0", "head.mix"]
    assert result.verified["verdict"] == "proven"
    assert [f.node for f in result.findings if f.node == "call"]
    for fixed, part in (
        (result.parts["encoder"], net.encoder),
        (result.parts["blocks.1"], net.blocks[1]),
        (result.parts["_private.deep.0"], net._private["deep"][0]),
    ):
        agrees(fixed, part)
    x = np.random.default_rng(0).normal(size=(3, 5, 11, 7)).astype("float32")
    support.compare([np.asarray(result.parts["blocks.0"](x))], [np.asarray(net.blocks[0](x))])


def test_a_repaired_part_takes_the_place_of_the_other():
    class Small(keras.Model):
        def __init__(self, encoder=None):
            super().__init__()
            self.encoder = encoder or gated()

        def call(self, x):
            return self.encoder(x) * 2

    model = Small()
    fixed = Small(rewriter.repair(model).parts["encoder"])
    inputs = support.random_inputs(model.encoder, 5)
    alone = [np.asarray(model(inputs[i : i + 1])) for i in range(5)]
    support.compare([np.asarray(fixed(inputs))], [np.concatenate(alone)], rtol=1e-4, atol=1e-5)


def test_a_model_whose_parts_are_right_is_not_said_to_be(net):
    class Right(keras.Model):
        def __init__(self):
            super().__init__()
            self.only = keras.Sequential([image(), layers.Conv2D(2, 1)])

        def call(self, x):
            return ops.multiply(self.only(x), ops.mean(self.only(x), (1, 2)))

    report = rewriter.check(Right())
    assert kinds(report) == [("not-analysed", "call")]
    assert not report.clean


def test_two_parts_of_the_same_layers():
    """Each repaired part has its own."""

    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.train = gated()
            self.use = keras.Model(self.train.input, self.train.get_layer("features").output)

        def call(self, x):
            return self.train(x)

    model = Two()
    parts = rewriter.repair(model).parts
    agrees(parts["train"], model.train)
    inputs = support.random_inputs(model.train, 2)
    support.compare([np.asarray(parts["use"](inputs))], [np.asarray(model.use(inputs))])


def test_what_is_stated_of_a_part():
    class Pair(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = self.part(), self.part()

        def part(self):
            x, y = keras.Input((8, 8)), keras.Input((8,))
            return keras.Model([x, y], ops.multiply(x, y))

        def call(self, x):
            return self.second([self.first(x), x[1]])

    model = Pair()
    left = rewriter.repair(model)
    assert left.parts == {}
    first, second = (f.node for f in left.undecided)
    assert (first.partition("/")[0], second.partition("/")[0]) == ("first", "second")
    result = rewriter.repair(model, at={first: "b t d, b t -> b t d", second: "b t d, b d -> b t d"})
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=s).astype("float32") for s in ((3, 8, 8), (3, 8)))
    for name, equation in (("first", "btd,bt->btd"), ("second", "btd,bd->btd")):
        support.compare([np.asarray(result.parts[name]([x, y]))], [np.einsum(equation, x, y)])
    with pytest.raises(rewriter.UsageError, match=r"no multiply 'third/scale'.*\(first, second\)"):
        rewriter.repair(model, at={"third/scale": "b t d, b t -> b t d"})


def test_a_functional_model_with_a_call_of_its_own():
    class Twice(keras.Model):
        def call(self, x):
            return super().call(x) * 2

    x = image()
    model = Twice(x, gate(x), name="twice")
    report = rewriter.check(model)
    assert [kind for kind, _ in kinds(report)] == ["not-analysed", "batch-misaligned"]
    result = rewriter.repair(model)
    assert result.model is None
    agrees(result.parts["twice"], keras.Model(model.input, model.output))
    with pytest.raises(rewriter.UnsupportedError, match="subclassed"):
        rewriter.repaired(model)

    y = image()
    outer = keras.Model(y, layers.Conv2D(2, 1)(Twice(x, gate(x), name="inner")(y)))
    assert ("not-analysed", "inner") in kinds(rewriter.check(outer))
    assert ("not-analysed", "inner") in kinds(rewriter.repair(outer))


def test_parts_of_a_sequential_model_that_was_never_built():
    class Lazy(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = keras.Sequential([gated(), layers.Flatten(), layers.Dense(2)])

        def call(self, x):
            return self.net(x)

    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = keras.Sequential([layers.Flatten(), layers.Dense(2)])

    model = Lazy()
    found = kinds(rewriter.check(model))
    assert ("not-analysed", "call") in found
    assert any(kind == "batch-misaligned" for kind, _ in found)
    with pytest.raises(rewriter.UnsupportedError, match="without functional parts"):
        rewriter.check(Plain())


def test_a_subclassed_model_without_parts():
    class Bare(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    for function in (rewriter.check, rewriter.repair):
        with pytest.raises(rewriter.UnsupportedError, match="without functional parts"):
            function(Bare())


@pytest.mark.parametrize("options", [{"output": "m.keras"}, {"onnx": "m.onnx"}, {"output": "m.onnx"}])
def test_no_file_is_written_of_parts(net, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rewriter.UnsupportedError, match="one by one"):
        rewriter.repair(net, **options)
    for function in (rewriter.shapes, lambda model: rewriter.export_onnx(model, "m.onnx")):
        with pytest.raises(rewriter.UnsupportedError, match="'Net' is a subclassed model"):
            function(net)
    assert list(tmp_path.iterdir()) == []
