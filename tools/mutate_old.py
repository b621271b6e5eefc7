"""Break valid Keras 2 models, repair each file in its own form and as a Keras 3 file, and let both versions judge.

    python tools/mutate_old.py [--models N] [--seed N] [--limit N] [--keep DIR]

tf_keras builds random models: gates over rows, channels, space and time, as layers and as TensorFlow functions, side
by side at several depths and in nested models. A mutant lacks a layer before a product, or changes its arguments, or
lacks two such layers. tf_keras writes the broken model with products that cannot fail; then the file gets the class of
the real product. The outcomes of the repair, for each written file:

    exact     written, and it computes the same as the original
    refused   found, and nothing was written
    wrong     written, and it computes something else, or does not load
    missed    no finding, though tf_keras refuses the model, or it mixes the samples of a batch

A mutant that tf_keras runs with each sample apart is also the file of a valid model: it does not count, and the table
only shows how many such files were changed. Exit status 1 if something is wrong or missed.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
warnings.simplefilter("ignore")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tf_keras  # noqa: E402

import rewriter  # noqa: E402
from tests.formats.keras.old_form.broken import (  # noqa: E402
    LARGER,
    copy_weights,
    models_in,
    same,
    stood_in,
    without,
    write,
)
from tests.formats.keras.upgrade.oracle import inputs_for, outputs, randomized  # noqa: E402

L = tf_keras.layers
Json = dict[str, Any]

# The suffix of the broken file, that of the repaired file, and the library that judges it.
TARGETS = ((".h5", ".h5", tf_keras), (".h5", ".keras", keras), (".keras", ".keras", tf_keras))
OUTCOMES = ("exact", "refused", "wrong", "missed")
SHAPERS = ("Reshape", "Permute")


# -- models -----------------------------
class Builder:
    """A builder of one random model."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = itertools.count()
        self.sizes = self.random.choice([(6, 7, 5), (5, 5, 5), (4, 8, 3)])
        self.channels = self.random.choice([11, self.sizes[0], 6])

    def name(self, stem: str) -> str:
        return f"{stem}_{next(self.count)}"

    def model(self) -> Any:
        tf_keras.backend.clear_session()
        image = L.Input(self.sizes, name="image")
        vector = L.Input((self.sizes[0],), name="vector")
        ends = []
        for _ in range(self.random.randint(1, 3)):
            x = image
            for _ in range(self.random.randint(1, 3)):
                x = self.step(x)
            ends.append(L.GlobalAveragePooling2D(name=self.name("pool"))(x))
        side = vector
        for _ in range(self.random.randint(1, 3)):
            side = L.Dense(self.sizes[0], name=self.name("side"))(side)
            side = L.Activation("tanh", name=self.name("act"))(side)
        join = L.Concatenate(name=self.name("join"))([*ends, side])
        return tf_keras.Model([image, vector], [join, L.Dense(self.sizes[0], name=self.name("tail"))(side)])

    def step(self, x: Any) -> Any:
        x = L.Conv2D(self.channels, 3, padding="same", name=self.name("conv"))(x)
        build = self.random.choice([self.rows, self.rows, self.space, self.se, self.time])
        if self.random.random() < 0.25:
            inner = L.Input(x.shape[1:], name=self.name("inner_x"))
            return tf_keras.Model(inner, build(inner), name=self.name("inner"))(x)
        return build(x)

    def product(self, x: Any, gate: Any) -> Any:
        pair = [x, gate] if self.random.random() < 0.7 else [gate, x]
        if self.random.random() < 0.4:
            return pair[0] * pair[1]
        return L.Multiply(name=self.name("scale"))(pair)

    def dense(self, g: Any, units: int) -> Any:
        for k in range(self.random.randint(1, 3)):
            g = L.Dense(units, activation="sigmoid" if k else "tanh", name=self.name("dense"))(g)
        return g

    def rows(self, x: Any) -> Any:
        g = L.GlobalAveragePooling2D(name=self.name("pool"))(L.Permute((3, 2, 1), name=self.name("turn"))(x))
        return self.product(
            x, L.Reshape((x.shape[1], 1, 1), name=self.name("expand"))(self.dense(g, x.shape[1]))
        )

    def se(self, x: Any) -> Any:
        g = self.dense(L.GlobalAveragePooling2D(name=self.name("pool"))(x), x.shape[-1])
        return self.product(x, L.Reshape((1, 1, x.shape[-1]), name=self.name("expand"))(g))

    def space(self, x: Any) -> Any:
        m = L.Conv2D(1, 3, padding="same", activation="sigmoid", name=self.name("mask"))(x)
        m = L.Reshape(tuple(x.shape[1:3]), name=self.name("flat"))(m)
        return self.product(x, L.Reshape((*x.shape[1:3], 1), name=self.name("lift"))(m))

    def time(self, x: Any) -> Any:
        """A gate on the positions of an image as the steps of a sequence."""
        places = x.shape[1] * x.shape[2]
        s = L.Reshape((places, x.shape[3]), name=self.name("places"))(x)
        w = L.Dense(1, activation="sigmoid", name=self.name("score"))(s)
        w = L.Reshape((places,), name=self.name("weights"))(w)
        y = self.product(s, L.Reshape((places, 1), name=self.name("steps"))(w))
        return L.Reshape(tuple(x.shape[1:]), name=self.name("image"))(y)


# -- mutants -----------------------------
Edit = tuple[str, Any]


def edits(config: Json) -> list[Edit]:
    """Edits of the layers before a product: remove the layer (None), or change its arguments."""
    found: list[Edit] = []
    for inner in models_in(config):
        entries = {entry["config"]["name"]: entry for entry in inner["layers"]}
        for entry in inner["layers"]:
            if entry["class_name"] != "Multiply" and entry["config"].get("function") != "math.multiply":
                continue
            for source in names_in(entry["inbound_nodes"]):
                shaper = entries.get(source)
                if shaper is None or shaper["class_name"] not in SHAPERS:
                    continue
                found.append((source, None))
                key = "target_shape" if shaper["class_name"] == "Reshape" else "dims"
                stated = shaper["config"][key]
                others = {other for other in itertools.permutations(stated) if list(other) != list(stated)}
                found += [(source, {key: list(other)}) for other in sorted(others)]
    return found


def names_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        if len(value) > 2 and isinstance(value[0], str):
            yield value[0]
        for item in value:
            yield from names_in(item)


def edited(config: Json, made: Sequence[Edit]) -> Json:
    config = copy.deepcopy(config)
    for name, change in made:
        if change is None:
            config = without(config, [name])
            continue
        for inner in models_in(config):
            for entry in inner["layers"]:
                if entry["config"]["name"] == name:
                    entry["config"] |= change
    return config


def mutants(valid: Any, rng: random.Random, limit: int) -> list[tuple[Edit, ...]]:
    single = edits(json.loads(valid.to_json())["config"])
    drops = [edit for edit in single if edit[1] is None]
    found: list[tuple[Edit, ...]] = [(edit,) for edit in single]
    found += list(itertools.combinations(drops, 2))
    rng.shuffle(found)
    return found[:limit]


def what_tf_keras_says(path: Path, valid: Any) -> str:
    """`broken`, `equivalent`, or `legal` for a file that another valid model may have."""
    try:
        model = tf_keras.models.load_model(path, compile=False)
        given = inputs_for(valid, 3)
        together = outputs(model, given)
        if same(model, valid) and same(model, valid, batch=1):
            return "equivalent"
        for i in range(3):
            copies = outputs(model, [x[[i] * 3] for x in given])
            if any(
                a.shape != b.shape or np.abs(a[i] - b[0]).max() > 1e-4
                for a, b in zip(together, copies, strict=True)
            ):
                return "broken"
    except Exception:
        return "broken"
    return "legal"


def rebuilt(valid: Any, made: Sequence[Edit]) -> Any:
    """The edited model with products that cannot fail. None if a later layer or its weights do not fit: no Keras
    writes such a file."""
    try:
        config = stood_in(edited(json.loads(valid.to_json())["config"], made))
        model = tf_keras.Model.from_config(config, custom_objects=LARGER)
        copy_weights(valid, model)
    except ValueError:
        return None
    return model


def with_legal_parts(valid: Any, made: Sequence[Edit], path: Path) -> Iterator[Any]:
    """The model with the edits that alone are legal, if there are several edits and some are: those may stay."""
    if len(made) < 2:
        return
    legal = []
    for edit in made:
        model = rebuilt(valid, [edit])
        if model is not None:
            write(model, path)
            if what_tf_keras_says(path, valid) == "legal":
                legal.append(edit)
    if 0 < len(legal) < len(made):
        write(rebuilt(valid, legal), path)
        yield tf_keras.models.load_model(path, compile=False)


def outcome(path: Path, suffix: str, judge: Any, meant: Sequence[Any]) -> tuple[str, str]:
    """The outcome of one repair, and its reason. ``meant`` are the models that the repair may give."""
    target = path.with_name(f"fixed{suffix}")
    target.unlink(missing_ok=True)
    try:
        report = rewriter.repair(path, target, verify=False)
    except rewriter.RewriterError as error:
        return "refused", f"{type(error).__name__}: {error}"
    serious = [finding for finding in report.findings if finding.severity.value != "info"]
    if not serious:
        return "missed", ""
    if report.output is None:
        return "refused", "undecided"
    try:
        model = judge.models.load_model(target, compile=False)
        right = any(same(model, valid) and same(model, valid, batch=5) for valid in meant)
        return ("exact" if right else "wrong"), ""
    except Exception as error:
        return "wrong", f"{type(error).__name__}: {str(error)[:200]}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=20, help="how many models (default: 20)")
    parser.add_argument("--limit", type=int, default=8, help="the mutants of each at most (default: 8)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, help="a folder for the files of mutants that come out wrong or missed"
    )
    arguments = parser.parse_args()
    counts: dict[str, Counter[str]] = {f"{a} -> {b} ({j.__name__})": Counter() for a, b, j in TARGETS}
    reasons: Counter[str] = Counter()
    for seed in range(arguments.seed, arguments.seed + arguments.models):
        valid = randomized(Builder(seed).model())
        for number, made in enumerate(mutants(valid, random.Random(seed), arguments.limit)):
            with tempfile.TemporaryDirectory() as folder:
                trial(valid, made, Path(folder), counts, reasons, arguments.keep, f"{seed}-{number}")
    print("| written | mutants | " + " | ".join(OUTCOMES) + " | legal | of them changed |")
    print("|---|" + "---:|" * (len(OUTCOMES) + 3))
    for title, row in counts.items():
        total = sum(row[key] for key in OUTCOMES)
        cells = [total, *(row[key] for key in OUTCOMES), row["legal"], row["changed"]]
        print(f"| {title} | " + " | ".join(map(str, cells)) + " |")
    for reason, count in reasons.most_common(12):
        print(f"{count:4}  {reason}")
    return int(any(row["wrong"] or row["missed"] for row in counts.values()))


def trial(
    valid: Any,
    made: Sequence[Edit],
    folder: Path,
    counts: dict[str, Counter[str]],
    reasons: Counter[str],
    keep: Path | None,
    title: str,
) -> None:
    model = rebuilt(valid, made)
    if model is None:
        return
    for suffix in (".h5", ".keras"):
        write(model, folder / f"model{suffix}")
    said = what_tf_keras_says(folder / "model.h5", valid)
    meant = [valid, *with_legal_parts(valid, made, folder / "part.h5")]
    for (source, suffix, judge), row in zip(TARGETS, counts.values(), strict=True):
        result, why = outcome(folder / f"model{source}", suffix, judge, meant)
        if said != "broken":
            row["legal"] += 1
            row["changed"] += result in ("exact", "wrong")
            continue
        row[result] += 1
        if why:
            reasons[f"{result}: {why}"] += 1
        if result in ("wrong", "missed"):
            print(f"{title}: {made}: {source} -> {suffix}: {result} {why}")
            if keep is not None:
                shutil.copytree(folder, keep / title, dirs_exist_ok=True)


if __name__ == "__main__":
    sys.exit(main())
