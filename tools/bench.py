"""Measure the costs of `rewriter` as ratios to a peer in the same run: `python tools/bench.py [PART...]`.

Parts: check, repair, chain, scale, shapes, export, fusions, export-large. Every figure is the median of several runs
of a whole process: wall time, processor time (steadier on a busy machine) and peak resident memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.generated import SCALES, chain, operation, tensor  # noqa: E402

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rewriter-bench"
SMALL_MODELS = ("MobileNetV3Small", "EfficientNetB0", "ResNet50")
CHAINS = (1_000, 10_000, 50_000)
SHORT = 5
PATIENCE = 120

# Bytes in a unit of ru_maxrss (getrusage(2): kilobytes on Linux, bytes on macOS).
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Cost:
    """Medians over the runs of a command."""

    wall: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.wall:8.2f} s wall {self.cpu:8.2f} s cpu {self.memory:7.0f} MB"


def measure(command: Sequence[str | Path], runs: int, patience: int | None = None) -> Cost:
    """Run a command several times.

    Raises:
        SystemExit: its exit status is neither 0 nor 1 (findings).
        TimeoutExpired: it takes more than ``patience`` seconds of processor time.
    """
    seen = [_once([str(part) for part in command], patience) for _ in range(runs)]
    return Cost(*(statistics.median(column) for column in zip(*seen, strict=True)))


def _once(command: list[str], patience: int | None = None) -> tuple[float, float, float]:
    folders = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": folders, "TF_CPP_MIN_LOG_LEVEL": "3", "NO_COLOR": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles installed files; so compile on both sides
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        preexec_fn=patience and partial(resource.setrlimit, resource.RLIMIT_CPU, (patience, patience + 1)),
    )
    assert process.stderr is not None
    complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if patience and process.returncode == -signal.SIGXCPU:
        raise subprocess.TimeoutExpired(command, patience)
    # Python ends with 1 after an error, as the tool does for findings; tf2onnx prints tracebacks and goes on.
    if process.returncode not in (0, 1) or (process.returncode and b"Traceback" in complaint):
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}: {complaint.decode()[-500:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS_UNIT / 1e6


def tool(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "rewriter", *arguments]


def keras(code: str, *arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-c", f"import keras, sys; {code}", *arguments]


def application(name: str) -> Path:
    """The path of one of keras.applications, with random weights, saved in the cache."""
    path = CACHE / f"{name}.keras"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        temporary = CACHE / f"{name}-{os.getpid()}.keras"
        code = "getattr(keras.applications, sys.argv[1])(weights=None).save(sys.argv[2])"
        subprocess.run([str(part) for part in keras(code, name, temporary)], check=True)
        temporary.replace(path)
    return path


def with_fault(source: Path, target: Path) -> None:
    """Copy a model with one gate squeezed to (batch, C), and multiplied by the operation."""
    with zipfile.ZipFile(source) as archive:
        entry = json.loads(archive.read("config.json"))
    entries = entry["config"]["layers"]
    place, operands, k = next(
        (place, operands, k)
        for place, node in enumerate(entries)
        if node["class_name"] == "Multiply"
        for operands in node["inbound_nodes"][0]["args"]
        for k, operand in enumerate(operands)
        if operand["config"]["shape"][1:3] == [1, 1]
    )
    gate = operands[k]
    sizes = gate["config"]["shape"]
    operands[k] = tensor("flat_gate", [sizes[0], sizes[-1]])
    entries[place : place + 1] = [
        operation("Squeeze", "flat_gate", {"axis": [1, 2]}, gate),
        operation("Multiply", entries[place]["name"], {}, *operands),
    ]
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for member in before.infolist():
            if member.filename == "config.json":
                after.writestr(member, json.dumps(entry))
                continue
            with before.open(member) as reader, after.open(member, "w", force_zip64=True) as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)


# -- the parts -----------------------------
def show(what: str, ours: Cost, peer: str, theirs: Cost) -> None:
    print(what)
    print(f"    {'rewriter':<24}{ours}")
    print(f"    {peer:<24}{theirs}")
    ratios = (ours.wall / theirs.wall, ours.cpu / theirs.cpu, ours.memory / theirs.memory)
    print(f"    {'ratio':<24}{ratios[0]:8.3f}   wall {ratios[1]:8.3f}   cpu {ratios[2]:7.3f}", flush=True)


def bench_check(model: Path, runs: int, folder: Path) -> None:
    ours = measure(tool("check", model), runs)
    theirs = measure(keras("keras.saving.load_model(sys.argv[1], compile=False)", model), max(1, runs // 3))
    show(f"check {model.name} against keras.saving.load_model", ours, "load_model", theirs)


def bench_repair(model: Path, runs: int, folder: Path) -> None:
    broken, fixed = folder / "broken.keras", folder / "fixed.keras"
    with_fault(model, broken)
    startup = measure(tool("--version"), runs)
    ours = measure(tool("repair", "--no-verify", broken, "-o", fixed), runs)
    theirs = measure(["cp", broken, fixed], runs)
    show(f"repair {model.name} with one fault against cp", ours, "cp", theirs)
    rest = (ours.wall - startup.wall) / theirs.wall
    print(f"    without the start-up of {startup.wall:.2f} s: {rest:.2f} times cp")


def bench_chain(model: Path, runs: int, folder: Path) -> None:
    print(f"a chain of nodes, 1 % of its multiplies broken (the cost of a chain of {SHORT} taken off)")
    base: dict[str, float] = {}
    first: dict[str, float] = {}
    for nodes in (SHORT, *CHAINS):
        path = folder / "chain.keras"
        chain(nodes, path)
        for command, arguments in (("check", ()), ("repair", ("--no-verify", "-o", folder / "fixed.keras"))):
            cost = measure(tool(command, path, *arguments), runs if nodes < CHAINS[-1] else max(1, runs // 3))
            each = (cost.cpu - base.setdefault(command, cost.cpu)) / nodes * 1e6
            growth = ""
            if nodes > SHORT:
                growth = f"  {each:6.0f} us a node, {each / first.setdefault(command, each):5.2f} x the first"
            print(f"    {command:<8}{nodes:>7} nodes {cost}{growth}", flush=True)


def bench_scale(model: Path, runs: int, folder: Path) -> None:
    """How costs grow from a quarter to the whole, per doubling: 2 is linear, 4 is quadratic."""
    path = folder / "scale.keras"
    make("chain", SHORT, path)
    base = measure(tool("check", "--format", "json", path), runs)
    print(
        "check at three sizes; growth per doubling of the processor time and of the memory above the start-up's"
    )
    for name, (_, largest) in SCALES.items():
        before: Cost | None = None
        for count in (largest // 4, largest // 2, largest):
            make(name, count, path)
            try:
                cost = measure(tool("check", "--format", "json", path), max(1, runs // 3), PATIENCE)
            except subprocess.TimeoutExpired:
                print(f"    {name:<26}{count:>7} more than {PATIENCE} s", flush=True)
                break
            growth = ""
            if before is not None:
                time_growth = _growth(before.cpu - base.cpu, cost.cpu - base.cpu, 0.1)
                memory_growth = _growth(before.memory - base.memory, cost.memory - base.memory, 2)
                growth = f"   time {time_growth}, memory {memory_growth}"
            print(f"    {name:<26}{count:>7} {cost}{growth}", flush=True)
            before = cost


def make(name: str, count: int, path: Path) -> None:
    """A generated file, made by a separate process: a child process inherits the peak memory of its parent."""
    command = [sys.executable, ROOT / "tools" / "generated.py", name, str(count), path]
    subprocess.run(command, check=True)


def _growth(before: float, after: float, least: float) -> str:
    return f"x {after / before:.2f}" if before >= least else "-"


def bench_shapes(model: Path, runs: int, folder: Path) -> None:
    for name in SMALL_MODELS:
        path = application(name)
        ours = measure(tool("shapes", path), runs)
        summary = keras("keras.saving.load_model(sys.argv[1], compile=False).summary()", path)
        theirs = measure(summary, max(1, runs // 3))
        show(f"shapes {path.name} against load_model(...).summary()", ours, "summary", theirs)


# -- export -----------------------------
LSTM_CLASSIFIER = """
x = keras.Input((64,), dtype='int32')
y = keras.layers.Embedding(10_000, 128)(x)
y = keras.layers.Bidirectional(keras.layers.LSTM(128, return_sequences=True))(y)
y = keras.layers.LSTM(128)(y)
model = keras.Model(x, keras.layers.Dense(10, activation='softmax')(y))
"""
TRANSFORMER_ENCODER = """
x = y = keras.Input((64, 256))
for _ in range(6):
    a = keras.layers.MultiHeadAttention(8, 32)(y, y)
    y = keras.layers.LayerNormalization()(keras.layers.Add()([y, a]))
    f = keras.layers.Dense(256)(keras.layers.Dense(1024, activation='gelu')(y))
    y = keras.layers.LayerNormalization()(keras.layers.Add()([y, f]))
model = keras.Model(x, y)
"""
EXPORTED: dict[str, str] = {
    "MobileNetV3Small": "",
    "EfficientNetV2S": "",
    "ResNet50": "",
    "lstm_classifier": LSTM_CLASSIFIER,
    "transformer_encoder": TRANSFORMER_ENCODER,
    "EfficientNetV2L": "",  # 1,031 layers: the peer takes minutes and 16 GB
}
# The models of `bench_models.py`.
_FUSED_NAMES = (
    "MobileNetV3Small EfficientNetB0 ConvNeXtTiny vit swin mobilevit bert llama kv_cache WaveNet BiLSTM gMLP"
)
FUSED = _FUSED_NAMES.split()
# Keras 3.15 refuses to export a loaded model before its first call.
_PEER = (
    "model = keras.saving.load_model(sys.argv[1], compile=False);"
    "model([keras.ops.zeros([1] + [n or 224 for n in x.shape[1:]], x.dtype) for x in model.inputs]);"
    "model.export(sys.argv[2], format='onnx', verbose=False)"
)
# Median seconds of a run at batch 1, and relative to the first file, of several files in random turns: other load on
# the machine slows all. null for a file that does not run. The first argument is the size of open axes.
_LATENCY = """
import json, random, statistics, sys, time
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.log_severity_level, options.intra_op_num_threads = 4, 1
free, given_paths = int(sys.argv[1]), sys.argv[2:]

def feed(session):
    rng, found = np.random.default_rng(0), {}
    for x in session.get_inputs():
        shape = [n if isinstance(n, int) else free if k else 1 for k, n in enumerate(x.shape)]
        if 'int' in x.type:
            found[x.name] = rng.integers(0, 9, shape).astype('int64' if '64' in x.type else 'int32')
        else:
            found[x.name] = rng.random(shape, 'float32') if 'float' in x.type else rng.random(shape) > 0.2
    return found

ready = {}
for path in given_paths:
    try:
        session = ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        ready[path] = session, feed(session)
        session.run(None, ready[path][1])
    except Exception as error:
        ready.pop(path, None)
        print(f'{path.rpartition("/")[2]}: {str(error).strip().splitlines()[0]}', file=sys.stderr)

def seconds(path, times):
    session, given = ready[path]
    start = time.perf_counter()
    for _ in range(times):
        session.run(None, given)
    return (time.perf_counter() - start) / times

paths = list(ready)
times = max(1, int(0.005 / max(seconds(path, 5) for path in paths))) if paths else 1
seen = {path: [] for path in paths}
for _ in range(60):
    for path in random.sample(paths, len(paths)):
        seen[path].append(seconds(path, times))
first = seen.get(given_paths[0])
answer = []
for path in given_paths:
    found = seen.get(path)
    ratio = statistics.median(b / a for a, b in zip(first, found)) if first and found else None
    answer.append([statistics.median(found), ratio] if found else None)
print(json.dumps(answer))
"""


def latencies(paths: Sequence[Path], free: int = 224) -> list[tuple[float, float | None] | None]:
    """For each ONNX file the seconds of a run and their ratio to the first file; None for a file that does not run.

    Args:
        free: the size of open axes but the batch.
    """
    command = [sys.executable, "-c", _LATENCY, str(free), *map(str, paths)]
    answer = subprocess.run(command, capture_output=True, check=True)
    found: list[tuple[float, float | None] | None] = json.loads(answer.stdout)
    return found


def generated(name: str, code: str) -> Path:
    """The path of a model from this code, saved in the cache; without code, one of keras.applications."""
    if not code:
        return application(name)
    path = CACHE / f"{name}.keras"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        temporary = CACHE / f"{name}-{os.getpid()}.keras"
        script = f"import keras, sys\n{code}\nmodel.save(sys.argv[1])"
        subprocess.run([sys.executable, "-c", script, str(temporary)], check=True)
        temporary.replace(path)
    return path


def bench_export(model: Path, runs: int, folder: Path, names: Sequence[str] = ()) -> None:
    for name in names or EXPORTED:
        path = generated(name, EXPORTED[name])
        ours, theirs = folder / "ours.onnx", folder / "theirs.onnx"
        cost = measure(tool("export", path, ours), runs)
        peer = measure(keras(_PEER, path, theirs), 1)
        show(f"export {path.name} ({path.stat().st_size / 1e6:.0f} MB)", cost, "model.export", peer)
        found = latencies([theirs, ours])
        if found[0] is None or found[1] is None:
            print("    one of them does not run", flush=True)
            continue
        (b, _), (a, ratio) = found
        print(f"    latency {a * 1e3:.2f} ms against {b * 1e3:.2f} ms, ratio {ratio:.3f}", flush=True)


# What onnxsim still finds, in a process of its own: it can be installed anywhere on PYTHONPATH.
_SIMPLIFY = "import onnx, onnxsim, sys; onnx.save(onnxsim.simplify(onnx.load(sys.argv[1]))[0], sys.argv[2])"
_COUNT = "import onnx, sys; print(*(len(onnx.load(path).graph.node) for path in sys.argv[1:]))"


def bench_fusions(model: Path, runs: int, folder: Path) -> None:
    """Our files, what onnxsim makes of them, and Keras's own export; latencies relative to ours, one thread."""
    print(
        f"{'':<18}{'export':>8}{'memory':>9}{'nodes':>7}{'onnxsim':>8}{'Keras':>7}{'latency':>12}{'onnxsim':>8}{'Keras':>7}"
    )
    for name in FUSED:
        path = CACHE / f"fusions-{name}.keras"
        if not path.exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            script = ROOT / "tools" / "bench_models.py"
            subprocess.run([sys.executable, script, name, path], check=True, stderr=subprocess.DEVNULL)
        files = [folder / f"{kind}.onnx" for kind in ("ours", "simplified", "theirs")]
        for file in files:
            file.unlink(missing_ok=True)
        cost = measure(tool("export", path, files[0]), runs)
        subprocess.run([sys.executable, "-c", _SIMPLIFY, *files[:2]], capture_output=True)
        with contextlib.suppress(SystemExit, subprocess.TimeoutExpired):
            measure(keras(_PEER, path, files[2]), 1, PATIENCE)
        there = [file for file in files if file.exists()]
        nodes = subprocess.run(
            [sys.executable, "-c", _COUNT, *there], check=True, capture_output=True, text=True
        )
        counts = dict(zip(there, nodes.stdout.split(), strict=True))
        found = dict(zip(there, latencies(there, 32), strict=True))
        ours = found[files[0]]
        ratios = [each and f"{each[1]:.2f}" for each in map(found.get, files[1:])]
        print(
            f"{name:<18}{cost.wall:>6.2f} s{cost.memory:>6.0f} MB"
            + "".join(f"{counts.get(file, '-'):>{n}}" for file, n in zip(files, (7, 8, 7), strict=True))
            + (f"{ours[0] * 1e3:>9.3f} ms" if ours else f"{'-':>12}")
            + "".join(f"{each or '-':>{n}}" for each, n in zip(ratios, (8, 7), strict=True)),
            flush=True,
        )


def bench_export_large(model: Path, runs: int, folder: Path) -> None:
    """Export a large model, against a copy of its file."""
    target = folder / "large.onnx"
    ours = measure(tool("export", model, target), runs)
    theirs = measure(["cp", model, folder / "copy.keras"], runs)
    show(f"export {model.name} against cp", ours, "cp", theirs)
    size = target.stat().st_size / 1e6
    print(f"    peak memory is {ours.memory / size:.2f} times the weights of {size:.0f} MB")


PARTS: dict[str, Callable[[Path, int, Path], None]] = {
    "check": bench_check,
    "repair": bench_repair,
    "chain": bench_chain,
    "scale": bench_scale,
    "shapes": bench_shapes,
    "export": bench_export,
    "fusions": bench_fusions,
    "export-large": bench_export_large,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument(
        "--model", type=Path, help="the large model (default: EfficientNetV2L, made in the cache)"
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of each command")
    parser.add_argument("--only", nargs="+", choices=EXPORTED, help="models of the part export")
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - PARTS.keys())
    if unknown:
        parser.error(f"no part {unknown[0]!r}: {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="rewriter-bench-", dir=os.environ.get("TMPDIR")) as folder:
        for name in options.parts or PARTS:
            needs_model = name in ("check", "repair", "export-large")
            model = options.model or (application("EfficientNetV2L") if needs_model else Path())
            if name == "export" and options.only:
                bench_export(model, options.runs, Path(folder), options.only)
            else:
                PARTS[name](model, options.runs, Path(folder))


if __name__ == "__main__":
    main()
