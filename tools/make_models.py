"""Write the sample models of `models/`: one per kind of fault, and the article's three examples.

python tools/make_models.py            write them, byte for byte the same each time
python tools/make_models.py --check    exit 1 unless the files in models/ are current
python tools/make_models.py --table    print the table in Markdown
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.mutation.edits import Recipe, mutate  # noqa: E402 - needs the path above

FIXED_DATE = "2026-01-01@00:00:00"
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
RESHAPE = frozenset({"Reshape", "ExpandDims"})


@dataclass(frozen=True)
class Sample:
    """One shipped model.

    Args:
        name: the file is `models/<name>.keras`, built by the function of that name.
        wrong, inserted: the texts of two columns of the table.
        kinds: the kind of finding on each of `nodes`; empty for a valid model.
        nodes: the nodes that `check` must name.
        ops: which inserted ops are right, one set per inserted node; None when nothing can be decided.
        recipe: the edits of the valid model's config.
        look: the value of `--ops` that repairs the model.
        squeeze_constants: whether constants lose their unit axes, too.
    """

    name: str
    wrong: str
    inserted: str
    kinds: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ("scale",)
    ops: tuple[frozenset[str], ...] | None = ()
    recipe: Recipe | None = None
    squeeze_constants: bool = False
    look: str = "multiply"

    @property
    def check_status(self) -> int:
        """Exit status of `rewriter check`."""
        return 1 if self.kinds else 0

    @property
    def repair_status(self) -> int:
        """Exit status of `rewriter repair`."""
        return 1 if self.ops is None else 0


def _cut(*names: str, at: str = "scale") -> Recipe:
    return Recipe(at=tuple(at.split()), drop=names)


SAMPLES: tuple[Sample, ...] = (
    Sample("valid", "nothing: a squeeze-and-excitation gate with its Reshape", "nothing"),
    Sample(
        "incompatible",
        "`Multiply` of (B,10,12,16) and a map (B,10,12): Keras refuses the file",
        "Reshape of the map to (B,10,12,1)",
        ("incompatible",),
        ops=(RESHAPE,),
        recipe=_cut("spread"),
    ),
    Sample(
        "batch_misaligned",
        "`ops.multiply` of (B,10,12,16) and (B,16): right at batch 1, raises at 2, silently wrong at 12",
        "Reshape of the factors to (B,1,1,16)",
        ("batch-misaligned",),
        ops=(RESHAPE,),
    ),
    Sample(
        "axis_misaligned",
        "`Multiply` of channels-first (B,8,8,8) and (B,8): scales the width, not the channels",
        "Reshape of the factors to (B,8,1,1)",
        ("axis-misaligned",),
        ops=(RESHAPE,),
    ),
    Sample(
        "layout",
        "`Multiply` of channels-last and channels-first (B,8,8,8): always runs, always wrong",
        "Transpose of the channels-first operand",
        ("layout",),
        ops=(frozenset({"Transpose"}),),
    ),
    Sample(
        "batch_size",
        "`ops.multiply` of (64,10) and (32,10): Keras refuses the file",
        "Tile of the smaller batch by (2,1)",
        ("batch-size",),
        ops=(frozenset({"Tile"}),),
        recipe=_cut("repeat"),
    ),
    Sample(
        "grown",
        "`ops.multiply` of (B,1) and (B,): every score meets every weight, (B,B)",
        "Reshape of the weights to (B,1)",
        ("grown",),
        ops=(RESHAPE,),
    ),
    Sample(
        "nested",
        "`ops.multiply` of (B,10,12,16) and (B,16) inside a nested model",
        "Reshape of the factors to (B,1,1,16), inside the nested model",
        ("batch-misaligned",),
        nodes=("block/scale",),
        ops=(RESHAPE,),
    ),
    Sample(
        "chained",
        "two gates one after the other, neither of which fits",
        "Reshape of the factors to (B,1,1,16) and of the map to (B,10,12,1)",
        ("batch-misaligned", "incompatible"),
        nodes=("scale_channels", "scale_map"),
        ops=(RESHAPE, RESHAPE),
        recipe=_cut("spread_channels", "spread_map", at="scale_channels scale_map"),
    ),
    Sample(
        "article_channel_scale",
        "nothing: (32,28,28,64) times 64 factors is legal with channels last",
        "nothing (`--explicit` inserts the Reshape to (1,1,1,64))",
    ),
    Sample(
        "article_channel_scale_first",
        "`Multiply` of channels-first (32,64,28,28) and (32,64): Keras refuses the file",
        "Reshape of the factors to (32,64,1,1)",
        ("incompatible",),
        ops=(RESHAPE,),
        recipe=_cut("spread"),
    ),
    Sample(
        "article_constant_first",
        "`ops.multiply` of channels-first (32,64,28,28) and 64 constants: Keras refuses the file",
        "Reshape of the constants to (1,64,1,1)",
        ("incompatible",),
        ops=(RESHAPE,),
        squeeze_constants=True,
    ),
    Sample(
        "article_flatten_multiply",
        "`Multiply` of flattened (32,50176) and Dense features (32,128)",
        "nothing by itself: dot products over 392 groups of 128, or the outer product, could be meant",
        ("incompatible",),
        ops=None,
        recipe=_cut("repeat"),
    ),
    Sample(
        "article_flatten_matmul",
        "`matmul` of (32,50176) and the transpose of (32,128): the inner sizes differ, it cannot run",
        "nothing by itself",
        ("incompatible",),
        nodes=("matmul",),
        ops=None,
        recipe=_cut("repeat", at=""),
    ),
    Sample("article_equal_matmul", "nothing: (32,128) @ (128,32) runs and gives (32,32)", "nothing"),
    Sample(
        "article_batch_tile",
        "`ops.multiply` of (64,10,10,3) and (32,10,10,3): Keras refuses the file",
        "Tile of the smaller batch by (2,1,1,1)",
        ("batch-size",),
        ops=(frozenset({"Tile"}),),
        recipe=_cut("repeat"),
    ),
    Sample(
        "article_batch_join",
        "`Concatenate` of (32,10,10,3) and (64,128): neither the batch nor the rank fits (`--ops all`)",
        "Reshape of the smaller batch to (32,300), Tile by (2,1)",
        ("batch-size",),
        ops=(RESHAPE, frozenset({"Tile"})),
        recipe=_cut("line", "repeat"),
        look="all",
    ),
    Sample(
        "article_batch_cover",
        "`Concatenate` of (48,5) and (64,7): the ratio of the batches is not whole (`--ops all`)",
        "nothing by itself: with `--mode best` or `--at`, Tile by (2,1) and Slice to (64,5)",
        ("batch-size",),
        ops=None,
        recipe=_cut("get_item", "repeat"),
        look="all",
    ),
    Sample(
        "article_batch_pair",
        "`ops.multiply` of (32,10,10,3) and (64,128): neither the batch nor the features fit",
        "nothing by itself: no insertion at the multiply makes them fit",
        ("incompatible",),
        ops=None,
        recipe=_cut("get_item", "line", "repeat"),
    ),
)


def table() -> str:
    """The samples as a Markdown table."""
    rows = [
        "| file | what is wrong | what is inserted | `check` | `repair` |",
        "|---|---|---|---|---|",
        *(
            f"| `{s.name}.keras` | {s.wrong} | {s.inserted} | {s.check_status} | {s.repair_status} |"
            for s in SAMPLES
        ),
    ]
    return "\n".join(rows)


def write(folder: Path) -> None:
    """Build every sample into `folder`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from tests.zoo.common import randomise

    builders = importlib.import_module("tools.model_builders")
    for sample in SAMPLES:
        keras.backend.clear_session()
        keras.utils.set_random_seed(11)
        target = folder / f"{sample.name}.keras"
        with tempfile.TemporaryDirectory() as scratch:
            built = Path(scratch) / "built.keras"
            randomise(getattr(builders, sample.name)()).save(built)
            if sample.recipe:
                cut = Path(scratch) / "cut.keras"
                built = mutate(built, cut, sample.recipe).path
            settle(built, target, sample.squeeze_constants)


def settle(source: Path, target: Path, squeeze_constants: bool) -> None:
    """Copy an archive without parts that change from run to run: dates, and addresses used as object ids."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for name in sorted(before.namelist()):
            data = before.read(name)
            if name == "config.json":
                config = _renumber(json.loads(data), {})
                data = json.dumps(_squeezed(config) if squeeze_constants else config).encode()
            elif name == "metadata.json":
                data = json.dumps(json.loads(data) | {"date_saved": FIXED_DATE}).encode()
            after.writestr(zipfile.ZipInfo(name, ZIP_DATE), data)


def _renumber(value: Any, ids: dict[int, int]) -> Any:
    """Shared object ids in the order of their first use."""
    if isinstance(value, dict):
        return {
            k: ids.setdefault(v, len(ids) + 1) if k == "shared_object_id" else _renumber(v, ids)
            for k, v in value.items()
        }
    return [_renumber(v, ids) for v in value] if isinstance(value, list) else value


def _squeezed(value: Any) -> Any:
    """Constants of shape (C, 1, 1) become (C,)."""
    if isinstance(value, dict):
        if value.get("class_name") == "__numpy__":
            flat = [row[0][0] for row in value["config"]["value"]]
            return value | {"config": value["config"] | {"value": flat}}
        return {k: _squeezed(v) for k, v in value.items()}
    return [_squeezed(v) for v in value] if isinstance(value, list) else value


def stale(folder: Path) -> list[str]:
    """The files of `folder` that differ from the output of this script."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        write(fresh)
        names = {p.name for p in fresh.glob("*.keras")} | {p.name for p in folder.glob("*.keras")}
        return sorted(n for n in names if _bytes(folder / n) != _bytes(fresh / n))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare models/ with a fresh build")
    parser.add_argument("--table", action="store_true", help="print the Markdown table")
    parser.add_argument("--out", type=Path, default=ROOT / "models", help="the folder (default: models/)")
    options = parser.parse_args(argv)
    if options.table:
        print(table())
        return 0
    if options.check:
        outdated = stale(options.out)
        for name in outdated:
            print(f"{name} is not current", file=sys.stderr)
        return 1 if outdated else 0
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
