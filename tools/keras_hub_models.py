"""The backbones of KerasHub, whose layers have code of their own: checked, exported, compared with Keras.

python tools/keras_hub_models.py DIR                  install KerasHub into DIR/site, run all, print a line for each
python tools/keras_hub_models.py DIR BertBackbone     some models only
python tools/keras_hub_models.py DIR --here           trace in this process, which has loaded Keras already

Each backbone is made small, with random weights, and saved in DIR/models. With ``trust=["keras_hub"]`` it has no
finding but notes, and its ONNX form, run by ONNX Runtime at batches 1 and 3, computes what Keras computes.
Exit status 1 if a model has a finding that is no note, or its numbers differ by more than 1e-4 of the largest value.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - needs the path above

import rewriter  # noqa: E402
from rewriter.errors import RewriterError  # noqa: E402
from tools.keras_hub_backbones import LENGTHS, MODELS, VOCABULARY  # noqa: E402

PACKAGES = ("keras-hub", "tokenizers", "regex")
TOLERANCE = 1e-4  # of the largest value
IMAGE = (48, 64)
SAMPLES = (1500, 1)  # of sound
ENTRIES = 4  # of an image in a text


def install(folder: Path) -> None:
    """Install KerasHub into a folder, unless it is there, for this process and those that it starts."""
    site = folder / "site"
    if not (site / "keras_hub").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site)]
        subprocess.run([*command, *PACKAGES], check=True)
    sys.path.append(str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(site)]))


def saved(name: str, folder: Path) -> tuple[Any, Path]:
    """A backbone with random weights as Keras loads it from its file, and the file.

    DINOV2 computes weights from others when it is loaded, so the model in memory is another one.
    """
    import keras
    import keras_hub

    arguments = MODELS[name]
    if callable(arguments):
        arguments = arguments(keras_hub.models)
    keras.utils.set_random_seed(7)
    model = getattr(keras_hub.models, name.partition("-")[0])(**arguments)
    generator = np.random.default_rng(7)
    for weight in model.weights:
        if "float" in weight.dtype:
            value = keras.ops.convert_to_numpy(weight.value)
            weight.assign(value + generator.normal(0, 0.05, weight.shape).astype(value.dtype))
    path = folder / f"{name}.keras"
    model.save(path)
    return keras.saving.load_model(path), path


def inputs(model: Any, batch: int) -> dict[str, Any]:
    """Random inputs by name: tokens with 0 among them, masks with zeros at the end of a row, numbers.

    The names in a backbone are ``token_ids``, ``padding_mask``, ``segment_ids``, ``images`` and the like, with a prefix
    for some. A text with an image has its entries at the places of ``vision_indices``.
    """
    generator = np.random.default_rng(batch)
    found: dict[str, Any] = {}
    for tensor in model.inputs:
        name, kind = tensor.name, str(tensor.dtype)
        shape = [
            batch,
            *(size or open_ for size, open_ in zip(tensor.shape[1:], _open(model, tensor), strict=False)),
        ]
        steps = np.arange(shape[-1])
        if name == "vision_indices":
            value: Any = np.broadcast_to(1 + steps, shape)
        elif name == "vision_mask":
            value = np.broadcast_to((steps > 0) & (steps <= ENTRIES), shape)
        elif "mask" in name:
            value = steps < generator.integers(shape[-1] // 2, shape[-1], (batch, 1))
        elif "segment" in name:
            value = generator.integers(0, 2, shape)
        elif "int" in kind:
            value = generator.integers(0, VOCABULARY, shape)
            value[0, -1] = 0
        else:
            value = generator.normal(0, 1, shape)
        found[name] = value.astype(kind)
    return found


def _open(model: Any, tensor: Any) -> tuple[int, ...]:
    """The sizes of an input, but for the batch, where they are open."""
    if len(tensor.shape) == 5:
        return (1, *tensor.shape[2:])
    if len(tensor.shape) == 4:
        return (*IMAGE, 3)
    if tensor.name == "vision_indices":
        return (ENTRIES,)
    if model.name.startswith("moonshine") and "encoder" in tensor.name:
        return SAMPLES
    return (LENGTHS["decoder" in tensor.name],) * 2


def difference(model: Any, session: Any, batch: int) -> float:
    """The largest difference of ONNX Runtime from Keras on random inputs, in parts of the largest value."""
    import keras

    given = inputs(model, batch)
    structure = keras.tree.map_structure(lambda tensor: given[tensor.name], model.input)
    wanted = keras.tree.flatten(model(structure, training=False))
    heads = [head.name for head in session.get_inputs()]
    feeds = given if len(heads) > 1 else dict(zip(heads, given.values(), strict=True))
    worst = 0.0
    for got, right in zip(session.run(None, feeds), map(np.asarray, wanted), strict=True):
        if got.shape != right.shape or not np.isfinite(right).all():
            return float("inf")
        scale = max(float(np.abs(right).max()), 1e-6)
        error = float(np.abs(got.astype(float) - right.astype(float)).max()) / scale
        worst = max(worst, error if np.isfinite(error) else float("inf"))
    return worst


def result(name: str, folder: Path) -> tuple[str, str]:
    """What became of a model: "equal", "refused" or "wrong", and a line."""
    import onnx
    import onnxruntime

    model, path = saved(name, folder)
    target = path.with_suffix(".onnx")
    target.unlink(missing_ok=True)
    start = time.monotonic()
    try:
        checked = rewriter.check(path, trust=["keras_hub"])
        rewriter.export_onnx(path, target, trust=["keras_hub"], verify=False)
    except RewriterError as error:
        return "refused", str(error).removeprefix(f"{path}: ")
    seconds = time.monotonic() - start
    try:
        session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
        worst = max(difference(model, session, batch) for batch in (1, 3))
    except Exception as error:  # whatever the runtime raises
        return "wrong", f"does not run: {str(error)[:200]}"
    nodes = len(onnx.load(target).graph.node)
    line = f"{nodes} nodes, differs by {worst:.1e}, {seconds:.1f} s"
    if checked.findings:
        line += f"; {len(checked.findings)} findings: {checked.findings[0].kind.code} {checked.findings[0].message}"
    return "equal" if worst <= TOLERANCE and checked.clean else "wrong", line


def trace_here() -> None:
    """Trace in this process, not in one of its own for each model."""
    from rewriter.tracing import model as trusted
    from rewriter.tracing.process.main import traced

    def ask(path: str, arrays: str, opaque: Any) -> Any:
        paths = None if opaque is None else [list(each) for each in opaque]
        entries = None if opaque is None else list(opaque.values())
        request = {"model": path, "paths": paths, "entries": entries, "arrays": arrays}
        return json.loads(json.dumps(traced(request, lambda answer: None)))

    trusted._ask = ask


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="outside of the checkout")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--here", action="store_true", help="trace in this process")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(MODELS):
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    models = arguments.folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    install(arguments.folder.resolve())
    sys.setrecursionlimit(20_000)
    if arguments.here:
        trace_here()
    counts = dict.fromkeys(("equal", "refused", "wrong"), 0)
    for name in arguments.names or MODELS:
        kind, line = result(name, models)
        counts[kind] += 1
        print(f"{name}: {line if kind == 'equal' else f'{kind}: {line}'}", flush=True)
    print(f"{sum(counts.values())} models: {', '.join(f'{n} {kind}' for kind, n in counts.items())}")
    return int(counts["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
