"""The commands need none of the heavy libraries, and run no code from the file."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.common import MODELS, ROOT, model

BLOCKED = (
    "tensorflow",
    "keras",
    "tf_keras",
    "h5py",
    "onnx",
    "onnxruntime",
    "tf2onnx",
    "jax",
    "torch",
    "pickle5",
)

PROGRAM = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Block())
from rewriter.cli import main
status = main(sys.argv[1:])
loaded = [name for name in {BLOCKED!r} if name in sys.modules]
sys.exit(99 if loaded else status)
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_the_block_blocks():
    program = PROGRAM.replace("from rewriter.cli import main", "import keras")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "keras is blocked" in done.stderr


@pytest.mark.parametrize("style", ["text", "json", "sarif", "github", "gitlab"])
def test_check(style):
    done = run("check", *MODELS, "--format", style)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_repair(path, tmp_path):
    done = run("repair", path, "-o", tmp_path / "o.keras", "--mode", "best", "--no-verify")
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""


def test_a_proof_without_tensorflow_is_of_the_axes_alone(tmp_path):
    done = run("repair", model("chained"), "-o", tmp_path / "o.keras")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Not run: keras not installed: pip install 'rewriter[keras]'." in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "words",
    [
        ("shapes", *MODELS),
        ("shapes", *MODELS, "--format", "json"),
        ("suggest", "None,28,28,64", "None,64", "--op", "multiply"),
        ("explain", model("layout")),
        ("explain", model("nested"), "block/scale"),
        ("explain", "upsample"),
        ("rules",),
        ("rules", "--format", "markdown"),
    ],
    ids=lambda words: f"{words[0]}-{len(words)}",
)
def test_the_others(words):
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")
