"""Models with layers of a package: what ``trust`` sees in them, exports and repairs, against Keras."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest

import rewriter
from rewriter import cli
from rewriter.errors import UnsupportedError, UsageError
from rewriter.tracing import model as trusted
from rewriter.tracing.process.main import traced
from tests.mutation.edits import Recipe, mutate
from tests.support import compare, random_inputs

PACKAGES = Path(__file__).parent / "packages"
sys.path.insert(0, str(PACKAGES))

import parts  # noqa: E402

L = keras.layers


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Trace in this process, which has Keras loaded, but for tests of the process itself."""
    monkeypatch.setenv("PYTHONPATH", str(PACKAGES))
    if "process" not in request.keywords:

        def ask(path: str, arrays: str, opaque: Any) -> Any:
            wanted = {"model": path, "arrays": arrays, "paths": None, "entries": None}
            if opaque is not None:
                wanted |= {"paths": [list(p) for p in opaque], "entries": list(opaque.values())}
            return json.loads(json.dumps(traced(wanted, lambda answer: None)))

        monkeypatch.setattr(trusted, "_ask", ask)


def image(*layers: Any) -> Any:
    x = keras.Input((5, 7, 4))
    y = L.Conv2D(4, 3, padding="same", name="conv")(x)
    for layer in layers:
        y = layer(y)
    return keras.Model(x, y)


def steps(*layers: Any, dtype: str = "float32") -> Any:
    x = y = keras.Input((None, 4), dtype=dtype)
    for layer in layers:
        y = layer(y)
    return keras.Model(x, y)


def ids(*layers: Any) -> Any:
    x = y = keras.Input((6,), dtype="int32")
    for layer in layers:
        y = layer(y)
    return keras.Model(x, y)


def net() -> Any:
    model = parts.Net()
    model(np.ones((2, 3, 5), "float32"))
    return model


def nested() -> Any:
    inner = steps(L.Dense(4), parts.Attend(name="attend"))
    x = keras.Input((None, 4))
    return keras.Model(x, inner(inner(x)) + 1.0)


def unnamed() -> Any:
    """The layer that is made first is called last."""
    x = keras.Input((None, 4))
    last, first = parts.Unnamed(2.0), parts.Unnamed(3.0)
    return keras.Model(x, last(L.Dense(4)(first(x))))


def two_operands() -> Any:
    x = keras.Input((None, 4))
    return keras.Model({"b": x}, {"y": parts.Attend()(x), "x": [parts.Numbers()(x)]})


MODELS = {
    "gate": lambda: image(parts.Gate()),
    "attention": lambda: steps(parts.Attend()),
    "layers in layers": lambda: steps(parts.Block(), L.Dense(2)),
    "numbers": lambda: steps(parts.Numbers()),
    "indices": lambda: steps(parts.Indices()),
    "comparisons and ranges": lambda: steps(parts.Places()),
    "layers whose names are not in the file": unnamed,
    "inside a Sequential": lambda: keras.Sequential(
        [keras.Input((None, 4)), parts.Attend(), L.Dense(3), parts.Unnamed(0.5), L.ReLU()]
    ),
    "mixed precision": lambda: image(parts.Gate(dtype="mixed_float16")),
    "a mask that is made": lambda: ids(parts.Marked(), L.LSTM(3)),
    "a mask that is taken": lambda: ids(L.Embedding(8, 4, mask_zero=True), parts.Masking(), L.GRU(3)),
    "a mask that is not there": lambda: ids(L.Embedding(8, 4), parts.Masking(), L.GRU(3)),
    "a subclassed model": net,
    "in a nested model": nested,
    "results in a dict": two_operands,
}


def randomised(model: Any) -> Any:
    generator = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(generator.normal(0, 0.5, weight.shape))
    return model


def numbers_of(path: Path, model: Any, batch: int) -> tuple[list[Any], list[Any]]:
    """What ONNX Runtime and Keras compute on the same random inputs."""
    if getattr(model, "inputs", None) is None:
        given: Any = np.random.default_rng(batch).normal(size=(batch, 3, 5)).astype("float32")
    else:
        given = random_inputs(model, batch)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = dict(zip([x.name for x in session.get_inputs()], keras.tree.flatten(given), strict=True))
    wanted = [np.asarray(y) for y in keras.tree.flatten(model(given, training=False))]
    return session.run(None, feeds), wanted


@pytest.mark.parametrize("name", MODELS)
def test_an_export_computes_what_keras_computes(name: str, tmp_path: Path):
    model = randomised(MODELS[name]())
    source, target = tmp_path / "model.keras", tmp_path / "model.onnx"
    model.save(source)
    before = source.read_bytes()
    with pytest.raises(UnsupportedError):
        rewriter.export_onnx(source, target)
    assert rewriter.check(source, trust=["parts"]).findings == []
    rewriter.export_onnx(source, target, trust=["parts"])
    tolerance = {"rtol": 1e-2, "atol": 1e-2} if name == "mixed precision" else {}
    for batch in (1, 3):
        compare(*numbers_of(target, model, batch), **tolerance)
    assert source.read_bytes() == before


def test_a_file_of_another_form_is_refused(tmp_path: Path):
    image(parts.Gate()).save(tmp_path / "model.h5")
    with pytest.raises(UnsupportedError, match=r"needs an archive of Keras 3"):
        rewriter.check(tmp_path / "model.h5", trust=["parts"])


def test_shapes_lists_what_is_inside_with_its_weights(tmp_path: Path):
    model = image(parts.Gate(name="gate"))
    model.save(tmp_path / "model.keras")
    shapes = rewriter.shapes(tmp_path / "model.keras", trust=["parts"])
    assert shapes.weights is not None
    found = {name: count for name, count in shapes.weights.items() if name.startswith("gate")}
    assert found == {
        "gate": 4 + 4 * 3 + 3 + 3 * 4 + 4,
        "gate/squeeze": 15,
        "gate/excite": 16,
        "gate/scale": 4,
    }
    assert sum(n for name, n in shapes.weights.items() if "/" not in name) == model.count_params()


# -- faults -----------------------------
def test_a_fault_in_the_code_is_found_with_its_line(tmp_path: Path, capsys: Any):
    source = tmp_path / "model.keras"
    image(parts.Gate(fits=False, name="gate")).save(source)
    lines = (PACKAGES / "parts" / "__init__.py").read_text().splitlines()
    place = f"parts/__init__.py:{lines.index('        return x * gate') + 1}"
    (finding,) = rewriter.check(source, trust=["parts"]).findings
    assert (finding.node, finding.kind.code) == ("gate/multiply_3", "RW002")
    assert place in str(finding)
    assert cli.main(["repair", str(source), "-o", str(tmp_path / "o.keras"), "--trust", "parts"]) == 1
    said = capsys.readouterr().out
    assert "rewriter repair" not in said and "The code of parts ran" in said
    with pytest.raises(UsageError, match="the code of a layer computes it"):
        rewriter.repair(source, tmp_path / "o.keras", at={"gate/multiply_3": "channel-gate"}, trust=["parts"])
    assert not (tmp_path / "o.keras").exists()


@pytest.mark.parametrize(
    ("command", "form"),
    [
        *((command, form) for command in ("check", "explain") for form in ("text", "json", "html")),
        *((command, form) for command in ("shapes", "export") for form in ("text", "json")),
    ],
)
def test_a_report_says_whose_code_ran(command: str, form: str, tmp_path: Path, capsys: Any):
    source = tmp_path / "model.keras"
    image(parts.Gate(name="gate")).save(source)
    words = [command, str(source), *([str(tmp_path / "o.onnx")] if command == "export" else [])]
    for trust in ([], ["--trust", "parts"]):
        cli.main([*words, *trust, "--format", form])
        said = capsys.readouterr().out
        marks = {"text": "The code of parts ran", "json": '"trust": ["parts"]', "html": "Code that ran"}
        assert (marks[form] in said) is bool(trust)


def test_a_fault_in_the_code_of_the_model_is_not_repaired(tmp_path: Path, capsys: Any):
    source, model = tmp_path / "model.keras", parts.Faulty()
    model(np.ones((1, 3, 5), "float32"))
    model.save(source)
    (finding,) = rewriter.check(source, trust=["parts"]).findings
    assert finding.choice is None and "parts/__init__.py:" in finding.why
    assert cli.main(["check", str(source), "--trust", "parts"]) == 1
    assert "rewriter repair" not in capsys.readouterr().out


def test_implicit_broadcasts_in_code_stay(tmp_path: Path):
    model = steps(parts.Numbers())
    model.save(tmp_path / "model.keras")
    result = rewriter.repair(
        tmp_path / "model.keras", tmp_path / "o.keras", explicit=True, trust=["parts"], verify=False
    )
    assert result.inserted == []


def around(fits: bool) -> Any:
    """A gate of the package, and beside it an ordinary one."""
    x = keras.Input((5, 7, 4))
    y = parts.Gate(name="own")(L.Conv2D(4, 3, padding="same", name="conv")(x))
    gate = L.Dense(4, activation="sigmoid", name="dense")(L.GlobalAveragePooling2D()(y))
    return keras.Model(x, keras.ops.multiply(y, L.Reshape((1, 1, 4))(gate) if fits else gate))


def test_a_fault_around_the_layer_is_repaired(tmp_path: Path):
    right, broken = around(True), around(False)
    randomised(right)
    broken.set_weights(right.get_weights())
    source, target = tmp_path / "model.keras", tmp_path / "repaired.keras"
    broken.save(source)
    result = rewriter.repair(source, target, trust=["parts"])
    assert [change.op for change in result.inserted] == ["Reshape"]
    repaired = keras.saving.load_model(target)
    assert type(repaired.get_layer("own")) is parts.Gate
    given = random_inputs(right, 3)
    compare([np.asarray(repaired(given))], [np.asarray(right(given))])


def test_a_file_that_keras_does_not_load_is_repaired(tmp_path: Path):
    """A map over positions lost its last axis: Keras refuses the file, so the layers are made one by one."""
    x = keras.Input((5, 7, 4))
    y = parts.Gate(name="own")(L.Conv2D(4, 3, padding="same", name="conv")(x))
    spread = L.Reshape((5, 7, 1), name="spread")(L.Reshape((5, 7))(L.Conv2D(1, 3, padding="same")(y)))
    right = randomised(keras.Model(x, L.Dense(2)(keras.ops.multiply(y, spread))))
    valid, broken, target = (tmp_path / f"{name}.keras" for name in ("valid", "broken", "repaired"))
    right.save(valid)
    product = next(each.name for each in right.operations if type(each).__name__ == "Multiply")
    mutate(valid, broken, Recipe(at=(product,), drop=("spread",)))
    with pytest.raises(ValueError, match=r"Cannot broadcast"):
        keras.saving.load_model(broken)
    (finding,) = rewriter.check(broken, trust=["parts"]).findings
    assert (finding.node, finding.kind.code) == (product, "RW001")
    result = rewriter.repair(broken, target, onnx=tmp_path / "repaired.onnx", trust=["parts"])
    assert [change.op for change in result.inserted] == ["Reshape"]
    given = random_inputs(right, 3)
    wanted = [np.asarray(right(given))]
    compare([np.asarray(keras.saving.load_model(target)(given))], wanted)
    found, wanted = numbers_of(tmp_path / "repaired.onnx", right, 3)
    compare(found, wanted, rtol=1e-4, atol=1e-4)


# -- what is not run, and what is not a graph -----------------------------
@pytest.mark.process
@pytest.mark.parametrize("trust", [[], ["json"]])
def test_no_code_runs_without_the_word_of_the_user(trust: list[str], tmp_path: Path, monkeypatch: Any):
    mark = tmp_path / "imported"
    image(parts.Gate()).save(tmp_path / "model.keras")
    monkeypatch.setenv("PARTS_IMPORTED", str(mark))
    with pytest.raises(UnsupportedError, match="not trusted" if trust else "custom class"):
        rewriter.export_onnx(tmp_path / "model.keras", tmp_path / "model.onnx", trust=trust)
    assert not mark.exists()


def test_a_lambda_is_never_run(tmp_path: Path):
    model = steps(parts.Attend(), L.Lambda(lambda x: x + 1.0))
    model.save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match="names Lambda of keras.layers, which is never run"):
        rewriter.check(tmp_path / "model.keras", trust=["parts", "keras"])


def test_a_class_that_was_registered_in_a_script(tmp_path: Path):
    """Its module was ``__main__``; now a package has it, under the same name."""
    model = steps(parts.Attend())
    model.save(tmp_path / "saved", zipped=False)
    config = tmp_path / "saved" / "config.json"
    text = config.read_text()
    assert '"module": "parts"' in text
    config.write_text(text.replace('"module": "parts"', '"module": "__main__"'))
    rewriter.export_onnx(tmp_path / "saved", tmp_path / "model.onnx", trust=["parts"])
    compare(*numbers_of(tmp_path / "model.onnx", model, 3))


@pytest.mark.parametrize("place", [(), ("config", "layers", 0)], ids=["the model", "its input"])
@pytest.mark.parametrize("module", ["elsewhere", "keras_elsewhere.layers"])
def test_a_file_that_names_another_package_is_refused(place: tuple[Any, ...], module: str, tmp_path: Path):
    steps(parts.Attend()).save(tmp_path / "saved", zipped=False)
    config = tmp_path / "saved" / "config.json"
    data = entry = json.loads(config.read_text())
    for key in place:
        entry = entry[key]
    entry["module"] = module
    config.write_text(json.dumps(data))
    with pytest.raises(UnsupportedError, match=f"of {module}, which is not trusted"):
        rewriter.check(tmp_path / "saved", trust=["parts"])


@pytest.mark.process
def test_the_code_runs_in_a_process_of_its_own(tmp_path: Path, monkeypatch: Any, capsys: Any):
    mark = tmp_path / "imported"
    image(parts.Gate()).save(tmp_path / "model.keras")
    monkeypatch.setenv("PARTS_IMPORTED", str(mark))
    words = ["export", str(tmp_path / "model.keras"), str(tmp_path / "model.onnx"), "--trust", "parts"]
    assert cli.main([*words, "--verify"]) == 0
    assert mark.read_text() == "imported\n" * 2  # to trace, and to compare
    assert "agrees with Keras" in capsys.readouterr().out


@pytest.mark.process
def test_a_package_that_is_not_there(tmp_path: Path, capsys: Any, monkeypatch: Any):
    steps(parts.Attend()).save(tmp_path / "model.keras")
    monkeypatch.setenv("PYTHONPATH", "")
    assert cli.main(["check", str(tmp_path / "model.keras"), "--trust", "parts"]) == 2
    assert "cannot be imported: No module named 'parts'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (parts.LooksUp, "it looks a tensor up in a dict or set"),
        (parts.Writes, "it writes a number that is computed as text"),
        (parts.Draws, "it draws random numbers in its call"),
        (parts.Branches, "cannot be used as a boolean"),
        (parts.Alone, "cannot be used as a boolean"),
        (parts.Counts, "it changes a variable in its call"),
        (parts.Makes, "is made in the call"),
        (parts.Scans, "keras.ops.scan runs a function"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_code_that_is_not_a_graph_is_refused_with_its_line(layer: Any, reason: str, tmp_path: Path):
    x = keras.Input((6, 4))
    keras.Model(x, layer()(x)).save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match=rf"{reason}.*parts/__init__.py:\d+\)"):
        rewriter.export_onnx(tmp_path / "model.keras", tmp_path / "model.onnx", trust=["parts"])


def test_code_that_computes_something_else_each_time_is_refused(tmp_path: Path):
    steps(parts.Dice()).save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match="its code computes something else each time"):
        rewriter.export_onnx(tmp_path / "model.keras", tmp_path / "model.onnx", trust=["parts"])


def test_a_call_in_training_is_refused(tmp_path: Path):
    """``predict`` of Keras overrides the argument, a call of the model does not."""
    x = keras.Input((4,))
    keras.Model(x, parts.Trains()(x, training=True)).save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match="it is called with training=True"):
        rewriter.export_onnx(tmp_path / "model.keras", tmp_path / "model.onnx", trust=["parts"])


def test_calls_that_compute_different_things_are_refused(tmp_path: Path):
    layer, x = parts.Sum(), keras.Input((4,))
    keras.Model(x, layer(layer(x), twice=True)).save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match="its calls compute different things"):
        rewriter.export_onnx(tmp_path / "model.keras", tmp_path / "model.onnx", trust=["parts"])


def test_a_layer_that_has_a_mask_in_some_of_its_calls_is_refused(tmp_path: Path):
    layer, x = parts.Masking(), keras.Input((6,), dtype="int32")
    y = layer(L.Embedding(8, 4)(x)) + layer(L.Embedding(8, 4, mask_zero=True)(x))
    keras.Model(x, y).save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match=r"only some of its calls have a mask|different things"):
        rewriter.export_onnx(tmp_path / "model.keras", tmp_path / "model.onnx", trust=["parts"])


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("sys", r"its code ended the process \(bye\)"),
        ("memory", "there is not enough memory"),
        ("empty", "ValueError"),
        ("error", "ValueError: boom"),
        pytest.param("os", r"its code ended the process \(status 0\)", marks=pytest.mark.process),
    ],
)
def test_code_that_raises_or_ends_its_process(how: str, reason: str, tmp_path: Path, monkeypatch: Any):
    steps(parts.Ends(name="ends")).save(tmp_path / "model.keras")
    monkeypatch.setenv("PARTS_ENDS", how)
    (finding,) = rewriter.check(tmp_path / "model.keras", trust=["parts"]).findings
    assert (finding.code, finding.node) == ("RW008", "ends")
    assert re.search(rf"cannot be traced: {reason} \(\S*parts/__init__.py:\d+\)$", finding.message)
    assert finding.why == "its code was run, and could not be traced; its recorded shape is used"
    assert "not in the file, or is not run" in rewriter.check(tmp_path / "model.keras").findings[0].why


def test_a_call_with_arguments_that_the_code_does_not_take(tmp_path: Path):
    steps(parts.Attend(name="attend")).save(tmp_path / "saved", zipped=False)
    config = tmp_path / "saved" / "config.json"
    data = json.loads(config.read_text())
    call = data["config"]["layers"][1]["inbound_nodes"][0]
    call["kwargs"]["twice"] = True
    config.write_text(json.dumps(data))
    (finding,) = rewriter.check(tmp_path / "saved", trust=["parts"]).findings
    assert "the call of 'attend' (Attend) does not take its arguments: " in finding.message
    assert "unexpected keyword argument 'twice'" in finding.message
    assert ".py" not in finding.message


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit('bye')", "importing ender: its code ended the process (bye)"),
        ("import os; os._exit(3)", "importing ender: its code ended the process (status 3)"),
        ("raise ValueError('a\\nb')", "importing ender: it ended with ValueError: a b"),
        ("raise KeyboardInterrupt", "importing ender: it ended with KeyboardInterrupt"),
    ],
)
def test_a_package_that_ends_the_process(code: str, reason: str, tmp_path: Path, monkeypatch: Any):
    (tmp_path / "ender.py").write_text(code)
    steps(parts.Attend()).save(tmp_path / "model.keras")
    monkeypatch.setenv("PYTHONPATH", f"{PACKAGES}{os.pathsep}{tmp_path}")
    with pytest.raises(UnsupportedError) as caught:
        rewriter.check(tmp_path / "model.keras", trust=["parts", "ender"])
    assert caught.value.reason.endswith(f"was not traced: {reason}")


@pytest.mark.process
@pytest.mark.parametrize("command", ["check", "shapes", "explain"])
def test_the_code_has_a_limit_of_time(command: str, tmp_path: Path, monkeypatch: Any, capsys: Any):
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(3600)")
    image(parts.Gate()).save(tmp_path / "model.keras")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{PACKAGES}{os.pathsep}{tmp_path}")
    words = ["--trust", "parts", "--trust", "sleeper", "--timeout", "1"]
    assert cli.main([command, str(tmp_path / "model.keras"), *words]) == 2
    assert "longer than 1 seconds" in capsys.readouterr().err
    with pytest.raises(UnsupportedError, match="longer than 1 seconds"):
        getattr(rewriter, command)(tmp_path / "model.keras", trust=["parts", "sleeper"], timeout=1)


@pytest.mark.parametrize("trust", ["parts", ["a b"], ["../parts"], [""], [3]])
def test_a_name_that_is_none_of_a_package(trust: Any, tmp_path: Path):
    with pytest.raises(UsageError, match="trust"):
        rewriter.check(tmp_path / "model.keras", trust=trust)
