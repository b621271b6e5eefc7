"""Compare HDF5 readers on damaged files, and their times: ours, pyfive and h5py (libhdf5).

    python tools/hdf5_readers.py [--mutants N] [--seed S] [--megabytes M]

Every reader reads every mutant of small files in all supported forms, in a process of its own with limits of time and
memory: it opens the file and reads every name, attribute and value. Mutant K of a seed is the same on every machine.
Each result is compared with that of h5py: equal, different, or read although h5py refuses the file. Then times and
memory on sound files: M megabytes of weights, the same compressed, and 1,300 small datasets.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyfive

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rewriter.errors import RewriterError  # noqa: E402
from rewriter.files.hdf5 import Hdf5Index  # noqa: E402
from rewriter.files.regular import map_regular  # noqa: E402

SECONDS, MEMORY = 10, 2 << 30
Items = Iterator[tuple[str, Any]]
FORMS: dict[str, dict[str, Any]] = {
    "earliest": {},
    "latest": {"libver": "latest"},
    "track-order": {"track_order": True},
}


# -- readers: everything in a file, as (name, value) -----------------------------
def ours(path: str) -> Items:
    index = Hdf5Index(map_regular(path)[0])
    for where in ("", *(path for path, _ in index.walk())):
        for name in index.attributes(where):
            yield f"{where}@{name}", index.attribute_values(where, name)
        if index.is_group(where):
            yield where, None
        else:
            yield where, index.values(where)


def by_pyfive(path: str) -> Items:
    with pyfive.File(path) as file:
        yield from _walk(file, pyfive.Dataset, lambda dataset: dataset[...])


def by_h5py(path: str) -> Items:
    with h5py.File(path, "r") as file:
        yield from _walk(file, h5py.Dataset, lambda dataset: dataset[()])


def _walk(file: Any, kind: type, value: Callable[[Any], Any]) -> Items:
    waiting = [("", file)]
    while waiting:
        where, item = waiting.pop()
        for name in item.attrs:
            yield f"{where}@{name}", item.attrs[name]
        if isinstance(item, kind):
            yield where, value(item)
            continue
        yield where, None
        waiting += [(f"{where}/{name}".lstrip("/"), item[name]) for name in item]


READERS: dict[str, Callable[[str], Items]] = {"ours": ours, "pyfive": by_pyfive, "h5py": by_h5py}


def digest(items: Items) -> str:
    found = hashlib.sha256()
    for name, value in sorted(items, key=lambda item: item[0]):
        found.update(repr((name, _plain(value))).encode())
    return found.hexdigest()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, h5py.Empty) or type(value).__name__ == "Empty":
        return None
    array = np.asarray(value)
    if array.dtype.kind in "OUS":
        return array.shape, [_raw(text) for text in array.ravel()]
    native = array.astype(array.dtype.newbyteorder("="))
    return native.shape, native.dtype.str, hashlib.sha256(native.tobytes()).hexdigest()


def _raw(text: str | bytes) -> bytes:
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else bytes(text)
    return raw.rstrip(b"\0")


# -- files -----------------------------
def small(file: h5py.File) -> None:
    """Write a small file with the contents of Keras files in all supported forms."""
    rng = np.random.default_rng(1)
    file.attrs["model_config"], file.attrs["backend"] = '{"class_name": "Sequential"}', b"tensorflow"
    weights = file.create_group("model_weights")
    weights.attrs["layer_names"] = np.array([f"dense_{k}".encode() for k in range(12)])
    for number in range(12):
        group = weights.create_group(f"dense_{number}")
        group.attrs["weight_names"] = np.array([b"kernel:0", b"bias:0"])
        group["kernel:0"] = rng.normal(size=(5, 7)).astype("f4")
        group["bias:0"] = rng.normal(size=7).astype(">f8")
    for number in range(10):
        file.attrs[f"number{number}"] = np.arange(3) + number
    options = {"chunks": (4, 5), "compression": "gzip", "shuffle": True}
    file.create_dataset("packed", data=rng.normal(size=(11, 13)).astype("f4"), **options)
    file.create_dataset("checked", data=np.arange(50), chunks=(7,), fletcher32=True)
    file["words"] = np.array(["a", "bc"], h5py.string_dtype())


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Change a few places: bytes, and numbers of up to 8 bytes to 0, 1, the maximum or another offset in the file."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        size = rng.choice((1, 2, 4, 8))
        at = rng.randrange(0, len(result) - size) // size * size
        value = rng.choice(
            (0, 1, 256**size - 1, 256**size // 2, rng.randrange(len(data)), rng.randrange(256**size))
        )
        result[at : at + size] = struct.pack("<Q", value)[:size]
    return bytes(result)


# -- a process for each -----------------------------
def outcome(reader: str, path: str) -> str:
    """The outcome of reading a file: a digest, ``refused``, an exception's class, ``time``, ``memory`` or ``died``."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        os.close(receive)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            said = digest(READERS[reader](path))
        except RewriterError:
            said = "refused"
        except MemoryError:
            said = "memory"
        except Exception as error:
            said = f"error: {type(error).__name__}"
        os.write(send, said.encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as stream:
        said = stream.read().decode()
    _, status = os.waitpid(child, 0)
    if said:
        return said
    return "time" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "died"


def mutants(count: int, seed: int, folder: Path) -> None:
    found: dict[str, Counter[str]] = {reader: Counter() for reader in READERS}
    errors: dict[str, Counter[str]] = {reader: Counter() for reader in READERS}
    for number in range(count):
        form = list(FORMS)[number % len(FORMS)]
        base = folder / f"{form}.h5"
        if not base.exists():
            with h5py.File(base, "w", **FORMS[form]) as file:
                small(file)
        path = folder / "mutant.h5"
        path.write_bytes(damaged(random.Random(f"{seed}-{number}"), base.read_bytes()))
        said = {reader: outcome(reader, str(path)) for reader in READERS}
        truth = said["h5py"]
        for reader, value in said.items():
            if value.startswith("error"):
                errors[reader][value.partition(": ")[2]] += 1
                value = "error"
            elif len(value) == 64:
                value = "equal" if value == truth else "other" if len(truth) == 64 else "read, h5py does not"
            found[reader][value] += 1
    columns = ["equal", "refused", "error", "other", "read, h5py does not", "time", "memory", "died"]
    print(
        f"{count} mutants, seed {seed}\n\n| reader | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}"
    )
    for reader, counts in found.items():
        print(f"| {reader} | {' | '.join(str(counts[column]) for column in columns)} |")
    for reader, counts in errors.items():
        print(f"\n{reader}: {dict(counts.most_common(8))}")


def measured(reader: str, path: Path, values: bool) -> tuple[float, int]:
    """(seconds, MiB above the start) of listing all datasets, and of reading the values; the best of three."""
    best = []
    for _ in range(3):
        receive, send = os.pipe()
        child = os.fork()
        if not child:
            before = _peak()
            start = time.perf_counter()
            _use(reader, str(path), values)
            os.write(send, struct.pack("<dq", time.perf_counter() - start, _peak() - before))
            os._exit(0)
        os.waitpid(child, 0)
        best.append(struct.unpack("<dq", os.read(receive, 16)))
        os.close(receive)
        os.close(send)
    return min(best)


def _use(reader: str, path: str, values: bool) -> None:
    total = 0.0
    if reader == "ours":
        index = Hdf5Index(map_regular(path)[0])
        for where, dataset in index.walk():
            if dataset is not None:
                total += float(index.values(where).sum()) if values else len(dataset.shape)
        return
    with pyfive.File(path) if reader == "pyfive" else h5py.File(path) as file:
        waiting = [file]
        while waiting:
            for item in waiting.pop().values():
                if not hasattr(item, "shape"):
                    waiting.append(item)
                else:
                    total += float(item[...].sum()) if values else len(item.shape)


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) >> 10


def times(megabytes: int, folder: Path) -> None:
    block = np.random.default_rng(2).normal(size=(512, 1024)).astype("f4")
    packed = {"chunks": (128, 256), "compression": "gzip", "shuffle": True}

    def weights(file: h5py.File, **options: Any) -> None:
        for number in range(megabytes // 2):
            file.create_dataset(f"layers/dense_{number}/vars/0", data=block, **options)

    def many(file: h5py.File) -> None:
        for number in range(1300):
            file[f"layers/dense_{number // 2}/vars/{number % 2}"] = np.zeros((3, 5), "f4")

    cases: list[tuple[str, Callable[[h5py.File], None], bool]] = [
        (f"{megabytes} MB of weights, all read", weights, True),
        (f"{megabytes // 4} MB, compressed, all read", lambda file: weights(file, **packed), True),
        ("1,300 datasets, listed", many, False),
    ]
    print(f"\n| seconds, MiB | {' | '.join(READERS)} |\n|{'---|' * (len(READERS) + 1)}")
    for words, fill, values in cases:
        path = folder / "large.h5"
        if "compressed" in words:
            megabytes //= 4
        with h5py.File(path, "w") as file:
            fill(file)
        found = (measured(reader, path, values) for reader in READERS)
        print(f"| {words} | {' | '.join(f'{seconds:.2f} s, {peak}' for seconds, peak in found)} |")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        mutants(options.mutants, options.seed, Path(name))
        times(options.megabytes, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
