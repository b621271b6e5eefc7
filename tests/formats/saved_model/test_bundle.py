"""The index of the variables: against TensorFlow's own reader, and with damage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rewriter.errors import BadFileError
from rewriter.files.folder import Folder
from rewriter.formats.saved_model import bundle
from rewriter.formats.saved_model.bundle import INDEX, parse, read_bundle, shard_name
from rewriter.formats.saved_model.crc32c import crc32c, masked
from tests.hostile.saved_models import ONE_SHARD, table


def test_the_checksum_of_the_standard():
    """RFC 3720, B.4."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.parametrize("size", [4095, 4096, 6143, 10_000])
def test_the_checksum_of_long_data(size: int):
    """Against the definition, bit by bit."""
    data = np.random.default_rng(size).bytes(size)
    one_by_one = 0xFFFFFFFF
    for byte in data:
        one_by_one ^= byte
        for _ in range(8):
            one_by_one = one_by_one >> 1 ^ (0x82F63B78 if one_by_one & 1 else 0)
    assert crc32c(data) == one_by_one ^ 0xFFFFFFFF


@pytest.mark.parametrize("name", ["gate-k3", "recurrent-k2", "version-1"])
def test_every_variable_is_where_tensorflow_finds_it(name: str, valid: Callable[[str], str]):
    path = valid(name)
    bundle = read_bundle(Folder(path))
    assert bundle is not None
    reader = tf.train.load_checkpoint(f"{path}/variables/variables")
    shapes = reader.get_variable_to_shape_map()
    assert {key: list(entry.shape) for key, entry in bundle.entries.items()} == shapes
    data = Path(path, shard_name(0, bundle.shards)).read_bytes()
    for key, entry in bundle.entries.items():
        if entry.dtype == "float32":
            numbers = np.frombuffer(data[entry.offset : entry.offset + entry.size], "<f4").reshape(
                entry.shape
            )
            np.testing.assert_array_equal(numbers, reader.get_tensor(key))


def test_an_index_of_many_blocks_is_read_as_tensorflow_reads_it(tmp_path: Path):
    """TensorFlow starts a new block after 256 KiB, and again when it merges checkpoints."""
    (tmp_path / "variables").mkdir()
    parts = []
    for part in range(2):
        names = [f"{'layer/' * 20}{part}/{number:05d}/{'kernel/' * 20}" for number in range(part, 5000)]
        parts.append(f"{tmp_path}/part_{part}")
        values = [np.zeros(number % 3, "float32") for number in range(len(names))]
        tf.raw_ops.SaveV2(
            prefix=parts[-1], tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
        )
    prefix = f"{tmp_path}/variables/variables"
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=prefix)
    read = read_bundle(Folder(tmp_path))
    assert read is not None
    shapes = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    assert {key: list(entry.shape) for key, entry in read.entries.items()} == shapes
    assert len(shapes) == 9999


def test_the_cost_of_an_index_is_that_of_its_size(monkeypatch: pytest.MonkeyPatch):
    """The same block was read for each entry that names it: 78 MB of checksums for a file of 265 kB."""
    summed = []
    monkeypatch.setattr(bundle, "masked", lambda data: summed.append(len(data)) or masked(data))
    data = memoryview(table([ONE_SHARD, b""], [0, *[1] * 300], restarts=1 << 16))
    with pytest.raises(BadFileError, match="blocks that overlap"):
        parse(data)
    assert sum(summed) < len(data)


def test_no_damage_is_taken_for_an_index(valid: Callable[[str], str]):
    """Changed bytes are refused, or are between blocks, which are not read. A shortened index is refused."""
    data = Path(valid("gate-k3"), INDEX).read_bytes()
    whole = parse(memoryview(data))
    for place in range(0, len(data), 3):
        broken = bytearray(data)
        broken[place] ^= 0x40
        with contextlib.suppress(BadFileError):
            assert parse(memoryview(bytes(broken))) == whole, place
        with pytest.raises(BadFileError):
            parse(memoryview(data[:place]))
