"""``python tools/sweep_services.py [s3 gs az hf]``: sweeps of object stores by their real clients, beside a folder's.

Each service is a server on this machine: moto for S3, gcp-storage-emulator for Google Cloud Storage, Azurite for Azure
(``npm install azurite``; the programs have to be on PATH), and for the Hugging Face hub a stand-in that answers the
requests of its client. Prints what each sweep moved over the loopback device; exits with 1 where an outcome differs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import rewriter

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("layout", "valid", "chained", "nested")
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # of every Azurite


def tree(folder: Path) -> None:
    """Models of this repository, and one of 16 MB."""
    import keras

    (folder / "team").mkdir(parents=True)
    for name in MODELS:
        shutil.copy(ROOT / "models" / f"{name}.keras", folder / "team")
    x = keras.Input((8,))
    y = keras.layers.Dense(2000)(keras.layers.Dense(2000)(x))
    keras.Model(x, keras.layers.Dense(3)(y)).save(folder / "large.keras")


@contextmanager
def program(*words: str) -> Iterator[int]:
    """A server in a process of its own, given its port as the last word."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen([*words, str(port)], stdout=quiet, stderr=quiet)
    try:
        for _ in range(100):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield port
    finally:
        server.kill()
        server.wait()


@contextmanager
def s3(folder: Path) -> Iterator[str]:
    import fsspec
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    system = fsspec.filesystem("s3")
    system.mkdir("models")
    system.put(f"{folder}/", "models/root/", recursive=True)
    yield "s3://models/root"
    server.stop()


@contextmanager
def gs(folder: Path) -> Iterator[str]:
    with program(
        "gcp-storage-emulator",
        "start",
        "--in-memory",
        "--default-bucket",
        "models",
        "--host",
        "127.0.0.1",
        "--port",
    ) as port:
        os.environ |= {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "FSSPEC_GCS_TOKEN": "anon"}
        os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = (
            "false"  # a question over gRPC, which the emulator lacks
        )
        for path in folder.rglob("*.keras"):
            name = urllib.parse.quote(f"root/{path.relative_to(folder).as_posix()}")
            place = f"http://127.0.0.1:{port}/upload/storage/v1/b/models/o?uploadType=media&name={name}"
            urllib.request.urlopen(
                urllib.request.Request(place, data=path.read_bytes(), method="POST")
            ).close()
        yield "gs://models/root"


@contextmanager
def az(folder: Path) -> Iterator[str]:
    import fsspec

    with (
        tempfile.TemporaryDirectory() as data,
        program(
            "azurite-blob", "--silent", "--skipApiVersionCheck", "--location", data, "--blobPort"
        ) as port,
    ):
        os.environ["AZURE_STORAGE_CONNECTION_STRING"] = (
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        )
        system = fsspec.filesystem("az")
        system.mkdir("models")
        for path in folder.rglob("*.keras"):
            system.put_file(str(path), f"models/root/{path.relative_to(folder).as_posix()}")
        yield "az://models/root"


@contextmanager
def hf(folder: Path) -> Iterator[str]:
    class Hub(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def say(self, status: int, body: bytes = b"{}", **headers: str) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
            at = path.removeprefix("/api/models/org/root")
            if at.startswith("/tree/main"):
                place = folder / at.removeprefix("/tree/main").strip("/")
                entries = (
                    [entry(each, folder) for each in sorted(place.iterdir())] if place.is_dir() else None
                )
                self.say(200 if entries else 404, json.dumps(entries).encode(), X_Error_Code="EntryNotFound")
            elif "/resolve/main/" in path:
                data = (folder / path.partition("/resolve/main/")[2]).read_bytes()
                first, last = self.headers["Range"].removeprefix("bytes=").split("-")
                self.say(
                    206, data[int(first) : int(last) + 1], Content_Range=f"bytes {first}-{last}/{len(data)}"
                )
            elif at != path:
                self.say(200, json.dumps({"id": "org/root", "sha": "0" * 40, "siblings": []}).encode())
            else:
                self.say(404)

    def entry(path: Path, top: Path) -> dict[str, Any]:
        made: dict[str, Any] = {
            "path": path.relative_to(top).as_posix(),
            "oid": "",
            "size": 0,
            "type": "directory",
        }
        if path.is_file():
            data = path.read_bytes()
            made |= {"type": "file", "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        return made

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": "none"}
    yield "hf://org/root"
    server.shutdown()


SERVICES: dict[str, Callable[[Path], Any]] = {"s3": s3, "gs": gs, "az": az, "hf": hf}


def loopback() -> int:
    """The bytes that the loopback device carried since the machine started."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split(":")[1].split()[0]) for line in lines if line.strip().startswith("lo:"))


def swept(root: str, store: Path) -> tuple[dict[str, tuple[str, list[str]]], int]:
    """The outcome and codes of every model, and how many of them were looked at."""
    with rewriter.sweep(root, store=store, jobs=2) as sweep:
        found = {o.url.removeprefix(root): (o.outcome, [f["code"] for f in o.findings]) for o in sweep}
        return found, sweep.summary().counts.looked_at


def main(names: list[str]) -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "root"
        tree(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*.keras"))
        wanted, _ = swept(str(folder), Path(temporary) / "here.sqlite")
        for name in names or SERVICES:
            store = Path(temporary) / f"{name}.sqlite"
            with SERVICES[name](folder) as root:
                before = loopback()
                found, looked_at = swept(root, store)
                moved = loopback() - before
                again, repeated = swept(root, store)
            right = found == again == wanted and (looked_at, repeated) == (len(wanted), 0)
            wrong += not right
            print(
                f"{name}: {'as in the folder' if right else 'DIFFERS'}, {moved:,} of {size:,} bytes",
                flush=True,
            )
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
