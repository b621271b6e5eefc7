"""The four checks prove right repairs, and each of them catches a wrong one."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import rewriter
from rewriter.formats.keras import spelling
from rewriter.ir.graph import TensorRef
from rewriter.passes.rewrite import Rewriter
from rewriter.proof import in_process
from tests.cli.common import model as sample
from tests.formats.keras.test_dialect import stamped
from tests.mutation.edits import Recipe, mutate
from tools.make_models import SAMPLES

REPAIRED = [s for s in SAMPLES if s.kinds and s.ops is not None]


def prove(model: keras.Model | Path, folder: Path, **options: Any) -> dict[str, Any]:
    """The proof of the repair of a model's file."""
    path = model if isinstance(model, Path) else folder / "in.keras"
    if not isinstance(model, Path):
        model.save(path)
    result = rewriter.repair(path, folder / "out.keras", verify=in_process, **options)
    assert result.output is not None, [f.why for f in result.undecided]
    assert result.verified is not None
    return result.verified


def failure(model: keras.Model, folder: Path, **options: Any) -> str:
    """The error of a repair that fails its proof; no output is left."""
    model.save(folder / "in.keras")
    with pytest.raises(rewriter.VerificationError) as caught:
        rewriter.repair(folder / "in.keras", folder / "out.keras", verify=in_process, **options)
    assert [p.name for p in folder.iterdir()] == ["in.keras"]
    return str(caught.value)


def gated(channels: int = 7, dtype: str = "float32", shown: bool = False) -> keras.Model:
    """A gate whose channels meet the width, and whose batch meets the height."""
    image = keras.Input((5, 11, 3), name="image")
    x = layers.Conv2D(channels, 3, padding="same", name="features", dtype=dtype)(image)
    pooled = layers.GlobalAveragePooling2D(name="pool", dtype=dtype)(x)
    gate = layers.Dense(channels, "sigmoid", name="gate", dtype=dtype)(pooled)
    other = layers.Dense(channels, "sigmoid", name="other", dtype=dtype)(pooled)
    return keras.Model(image, [ops.multiply(x, gate), other, *([gate] if shown else [])])


def multiply_of(model: keras.Model) -> str:
    return next(o.name for o in model.operations if type(o).__name__ == "Multiply")


# -- right repairs -----------------------------
@pytest.mark.parametrize("case", REPAIRED, ids=lambda s: s.name)
def test_the_samples_are_proven(case, tmp_path):
    verified = prove(sample(case.name), tmp_path, ops=case.look)
    assert verified["static"] is True
    checks = verified["checks"]
    assert checks["equation"]["proven"]
    assert checks["gradients"]["proven"]
    assert checks["independence"]["proven"] or "batches of different size" in checks["independence"]["why"]
    assert all(c["proven"] or c["why"] for c in checks.values())


@pytest.mark.parametrize(
    ("dtype", "most"), [("float32", 1e-5), ("mixed_float16", 1e-2), ("mixed_bfloat16", 1e-2)]
)
def test_all_four_checks_at_every_size_of_the_graph(dtype, most, tmp_path):
    checks = prove(gated(dtype=dtype), tmp_path)["checks"]
    for name in ("independence", "batch-one"):
        assert {1, 2, 3, 5, 7, 11} <= set(checks[name]["batches"])
        assert checks[name]["difference"] < most
    assert all(check["proven"] for check in checks.values())


@pytest.mark.parametrize("join", [ops.add, ops.divide], ids=["add", "divide"])
def test_other_operations_have_an_oracle_of_their_own(join, tmp_path):
    """With a known batch of 1, `ops.add` of TensorFlow would treat the gate as a bias.

    The divisor keeps away from 0, where rounding grows without limit.
    """
    image = keras.Input((5, 11, 3))
    x = layers.Conv2D(7, 3, padding="same")(image)
    gate = layers.Dense(7)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, join(ops.multiply(x, gate), layers.Dense(7, "softplus")(gate) + 0.5))
    checks = prove(model, tmp_path, ops="all")["checks"]
    assert all(check["proven"] for check in checks.values())
    assert len(checks["equation"]["nodes"]) == 2


def test_rounding_that_grows_is_no_dependence_on_other_samples(tmp_path):
    """A divisor near 0: other rounding in a larger batch gives another quotient."""
    image = keras.Input((5, 11, 3))
    x = layers.Conv2D(7, 3, padding="same")(image)
    gate = layers.Dense(7)(layers.GlobalAveragePooling2D()(x))
    divisor = layers.Dense(7)
    y = ops.divide(ops.multiply(x, gate), divisor(ops.concatenate([gate, gate], axis=-1)))
    kernel = np.random.default_rng(0).normal(0, 1000, (7, 7))
    divisor.set_weights([np.concatenate([kernel, -kernel]), np.asarray([1e-3] + [10.0] * 6)])
    checks = prove(keras.Model(image, y), tmp_path, ops="all")["checks"]
    assert checks["equation"]["proven"]
    assert checks["independence"]["proven"] or "rounding grows" in checks["independence"]["why"]


def test_models_within_layers(tmp_path):
    image = keras.Input((5, 11, 3))
    x = layers.Conv2D(7, 3, padding="same")(image)
    gate = layers.Dense(7)(layers.GlobalAveragePooling2D()(x))
    inner = keras.Model(image, ops.multiply(x, gate), name="inner")
    frames = keras.Input((4, 5, 11, 3))
    for outer in (keras.Model(frames, layers.TimeDistributed(inner)(frames)), twice(inner)):
        checks = prove(outer, tmp_path)["checks"]
        assert checks["equation"]["proven"]
        assert checks["independence"]["proven"]


def twice(inner: keras.Model) -> keras.Model:
    a, b = keras.Input((5, 11, 3)), keras.Input((5, 11, 3))
    return keras.Model([a, b], [inner(a), inner(b)])


def test_a_state_is_no_failure(tmp_path):
    sequence = keras.Input(batch_shape=(4, 8, 6))
    x = layers.LSTM(7, stateful=True, return_sequences=True)(sequence)
    gate = layers.Dense(7)(layers.GlobalAveragePooling1D()(x))
    checks = prove(keras.Model(sequence, layers.Multiply()([x, gate])), tmp_path, explicit=True)["checks"]
    assert checks["equation"]["proven"]
    assert "keeps a state" in checks["independence"]["why"]


def test_a_fixed_batch_is_run_with_its_samples_in_another_order(tmp_path):
    image = keras.Input(batch_shape=(6, 4, 9, 3))
    x = layers.Conv2D(5, 3, padding="same")(image)
    place = layers.Reshape((4, 9), name="flat")(layers.Conv2D(1, 1, activation="sigmoid")(x))
    whole = keras.Model(
        image, layers.Multiply(name="scale")([x, layers.Reshape((4, 9, 1), name="lift")(place)])
    )
    whole.save(tmp_path / "whole.keras")
    broken = mutate(tmp_path / "whole.keras", tmp_path / "in.keras", Recipe(("scale",), drop=("lift",))).path
    checks = prove(broken, tmp_path)["checks"]
    assert checks["independence"]["proven"]
    assert checks["independence"]["batches"] == checks["equation"]["batches"] == [6]
    assert "at batch 1" in checks["batch-one"]["why"] or "fixed" in checks["batch-one"]["why"]


def test_tokens_and_masks(tmp_path):
    tokens = keras.Input((9,), dtype="int32")
    x = layers.Embedding(11, 6, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    gate = layers.Dense(8, "sigmoid")(layers.GlobalAveragePooling1D()(x))
    checks = prove(keras.Model(tokens, ops.multiply(x, gate)), tmp_path)["checks"]
    assert all(check["proven"] for check in checks.values())


def test_open_axes_get_a_size_with_which_the_model_runs(tmp_path):
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(7, 5)(layers.Conv2D(7, 9)(image))
    gate = layers.Dense(7)(layers.GlobalAveragePooling2D()(x))
    checks = prove(keras.Model(image, ops.multiply(x, gate)), tmp_path)["checks"]
    assert all(check["proven"] for check in checks.values())


def test_a_configuration_alone_has_random_weights(tmp_path):
    path = tmp_path / "in.json"
    path.write_text(gated().to_json())
    result = rewriter.repair(path, tmp_path / "out.json", verify=in_process)
    assert all(check["proven"] for check in result.verified["checks"].values())


def test_a_model_in_memory_is_proven_with_its_own_classes():
    class Twice(layers.Layer):
        def call(self, x):
            return x * 2

    model = gated()
    result = rewriter.repair(keras.Model(model.input, Twice(name="twice")(model.outputs[0])))
    assert all(check["proven"] for check in result.verified["checks"].values())
    assert rewriter.repair(model, verify=False).verified["skipped"] == "--no-verify"


def test_what_the_user_states_is_no_failure_of_the_equation(tmp_path):
    """A factor per step where one per feature is equally likely: the user decides."""
    x, y = keras.Input((8, 8), name="x"), keras.Input((8,), name="y")
    model = keras.Model([x, y], layers.Multiply(name="scale")([x, y]))
    for equation in ("b t d, b t -> b t d", "b t d, b d -> b t"):
        checks = prove(model, tmp_path, at={"scale": equation})["checks"]
        assert checks["equation"]["proven"]
        assert checks["independence"]["proven"]


# -- skipped checks, and why -----------------------------
def test_a_model_that_mixes_samples_on_purpose_passes(tmp_path):
    image = keras.Input((5, 11, 3))
    x = layers.Conv2D(7, 3)(image)
    x = x - ops.mean(x, axis=0, keepdims=True)
    model = keras.Model(image, ops.multiply(x, layers.Dense(7)(layers.GlobalAveragePooling2D()(x))))
    checks = prove(model, tmp_path)["checks"]
    assert checks["equation"]["proven"]
    assert checks["independence"] == {
        "proven": False,
        "why": "it mixes samples elsewhere than in the changed nodes",
    }
    assert checks["batch-one"].get("batches", [1]) == [1]


def test_code_from_the_file_is_not_run(tmp_path):
    model = gated()
    model = keras.Model(model.input, layers.Lambda(lambda x: x + 1, name="code")(model.outputs[0]))
    verified = prove(model, tmp_path)
    assert "'code' (Lambda) is code, which is not run" in verified["skipped"]
    assert verified["static"] is True


def test_a_model_that_keras_does_not_load_in_any_case_is_not_run(tmp_path):
    """A Keras with one more argument wrote it; the repair is not the cause."""
    model = gated()
    model.save(tmp_path / "known.keras")
    with (
        zipfile.ZipFile(tmp_path / "known.keras") as known,
        zipfile.ZipFile(tmp_path / "in.keras", "w") as unknown,
    ):
        for name in known.namelist():
            data = known.read(name)
            if name == "config.json":
                assert b'"kernel_size"' in data
                data = data.replace(b'"kernel_size"', b'"newer": 1, "kernel_size"')
            unknown.writestr(name, data)
    verified = prove(tmp_path / "in.keras", tmp_path)
    assert verified["verdict"] == "not-run"
    saved = f"Keras {keras.__version__}"
    assert f"{saved} does not load the original, saved by {saved}, either: " in verified["skipped"]
    assert "newer" in verified["skipped"]


def test_a_model_that_runs_at_one_batch_in_any_case_is_run_there(tmp_path):
    """A Reshape elsewhere holds the batch of 1 that the model was exported with."""
    x, y = keras.Input((5, 3), name="x"), keras.Input((3,), name="y")
    other = ops.reshape(layers.Dense(4, name="four")(y), (1, 2, 2))
    model = keras.Model([x, y], [layers.Multiply(name="scale")([x, layers.Dense(3)(y)]), other])
    verified = prove(model, tmp_path, explicit=True)
    assert verified["verdict"] == "proven"
    assert verified["checks"]["equation"]["batches"] == [1]
    assert "neither it nor the original runs at batch 2" in verified["checks"]["independence"]["why"]
    assert "does not run at batch 2" in verified["behaviour"]["why"]


def test_strings_are_not_made_up(tmp_path):
    text = keras.Input((1,), dtype="string", name="text")
    model = gated()
    verified = prove(keras.Model([model.input, text], [*model.outputs, text]), tmp_path)
    assert verified["skipped"] == "an input holds strings"


def test_a_clean_model_starts_nothing(tmp_path):
    def prover(request: Any) -> Any:
        raise AssertionError(request)

    result = rewriter.repair(sample("valid"), tmp_path / "out.keras", verify=prover)
    assert "identical" in result.verified["skipped"]


# -- wrong repairs -----------------------------
def test_the_equation_catches_a_wrong_node(tmp_path, misspell):
    """Every shape is right, but each gate is at the wrong position."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="features")(image)
    gate = layers.Conv2D(4, 3, padding="same", activation="sigmoid")(layers.MaxPooling2D(2)(x))
    whole = layers.UpSampling2D(2, name="up")(gate)
    scaled = layers.Multiply(name="scale")([x, whole])
    model = keras.Model(image, layers.Conv2D(2, 1, name="after")(scaled))
    model.save(tmp_path / "whole.keras")
    broken = mutate(tmp_path / "whole.keras", tmp_path / "in.keras", Recipe(("scale",), drop=("up",))).path

    def wrong(step):
        counts = [step.repeats[0] if i in step.axes else 1 for i in range(len(step.to))]
        tile = ("keras.src.ops.numpy", "Tile", {"repeats": counts}, ())
        return tile if step.op == "Repeat" else spelling.spell(step)

    assert prove(broken, tmp_path)["checks"]["equation"]["proven"]
    (tmp_path / "out.keras").unlink()
    misspell(wrong)
    with pytest.raises(
        rewriter.VerificationError, match=r"\(equation\): 'scale' at batch 1: it does not compute"
    ):
        rewriter.repair(broken, tmp_path / "out.keras", verify=in_process)
    assert not (tmp_path / "out.keras").exists()


def test_independence_catches_a_product_over_the_samples(tmp_path):
    x, y = keras.Input(batch_shape=(8, 8), name="x"), keras.Input(batch_shape=(8, 8), name="y")
    model = keras.Model([x, y], layers.Multiply(name="scale")([x, y]))
    text = failure(model, tmp_path, at={"scale": "b k, k n -> b n"})
    assert "(independence): 'scale' at batch 8: what it gives for a sample depends on the other" in text


def test_the_original_at_batch_1_catches_a_wrong_operand(tmp_path, monkeypatch):
    """The inserted node has another input of the same shape: the product itself matches the equation."""
    insert = Rewriter._insert

    def wrong(self, graph, prefix, node, candidate, step, sources, name=""):
        return insert(
            self, graph, prefix, node, candidate, step, [TensorRef("other", 0, sources[0].shape)], name
        )

    monkeypatch.setattr(Rewriter, "_insert", wrong)
    assert "(batch-one): 'gate': the layer and its weights are not used any more" in failure(
        gated(), tmp_path
    )
    text = failure(gated(shown=True), tmp_path)
    assert "(batch-one)" in text
    assert "is not what the original gives" in text


def test_gradients_catch_a_node_that_lets_none_through(tmp_path, misspell):
    """The layer inserts the missing axis itself, so the values are right."""
    x, y = keras.Input((5, 3), name="x"), keras.Input((3,), name="y")
    model = keras.Model([x, y], layers.Multiply(name="scale")([x, layers.Dense(3)(y)]))
    assert prove(model, tmp_path, explicit=True)["checks"]["gradients"]["proven"]
    (tmp_path / "out.keras").unlink()
    misspell(lambda step: ("keras.src.ops.core", "StopGradient", {}, ()))
    if keras.backend.backend() == "jax":  # JAX gives zeros
        check = prove(model, tmp_path, explicit=True)["checks"]["gradients"]
        assert not check["proven"]
        assert "only zeros go through 'scale'" in check["why"]
        return
    text = failure(model, tmp_path, explicit=True)
    assert "(gradients): 'scale' at batch 2: no gradient goes through it" in text


def test_a_file_that_keras_does_not_load_is_no_repair(tmp_path, misspell):
    misspell(lambda step: ("keras.src.ops.numpy", "Reshape", {"newshape": [-1, 1, 1, 7], "turns": 3}, ()))
    assert "(load): the model: Keras does not load it" in failure(gated(), tmp_path)


def test_a_file_that_is_written_for_a_newer_keras_is_not_run(tmp_path, misspell):
    """A newer Keras may accept arguments that are unknown here: the message names both versions."""
    misspell(lambda step: ("keras.src.ops.numpy", "Reshape", {"newshape": [-1, 1, 1, 7], "turns": 3}, ()))
    gated().save(tmp_path / "made.keras")
    path = stamped(tmp_path / "made.keras", tmp_path / "in.keras", "3.99.0")
    verified = prove(path, tmp_path)
    assert verified["verdict"] == "not-run"
    assert f"written for Keras 3.99.0, and Keras {keras.__version__} does not load it: " in verified["reason"]


def test_the_capture_leaves_the_model_as_it_was():
    from rewriter.proof.keras.capture import Capture
    from rewriter.proof.request import Claim

    model = gated()
    name = [multiply_of(model)]
    claim = Claim(
        "scale", "Multiply", name, name, [[], []], {}, False, "b c, b c -> b c", [[0, 1], [0, 1]], [0, 0], 0
    )
    before = [dict(vars(operation)) for operation in model.operations]
    with Capture(model, [claim]) as capture:
        model(np.ones((1, 5, 11, 3), "float32"))
    assert [met.claim for met in capture.met] == [0]
    assert [dict(vars(operation)) for operation in model.operations] == before
