"""Repair a model, then export it: what an export script does in front of its own export.

    python tools/examples/repair_before_export.py MODEL.keras EXPORT_DIRECTORY

A model that is right goes through untouched. One whose multiplies cannot be decided is not exported: the findings say
what a person has to decide, and ``AT`` is where the answer goes.
"""

from __future__ import annotations

import sys

import keras

import rewriter

# What is meant at multiplies that the evidence leaves open: {"scale": "b h w c, b c -> b h w c"}.
AT: dict[str, str] = {}


def repaired(model: keras.Model) -> keras.Model:
    """The model with its multiplies repaired, weights and compile state kept.

    Raises:
        SystemExit: something cannot be decided, with what the findings say.
    """
    result = rewriter.repair(model, at=AT)
    for inserted in result.inserted:
        print(f"inserted {inserted.op} as {inserted.node} ({inserted.rule})")
    if result.undecided:
        raise SystemExit("\n".join(f"{f.node}: {f.message}; {f.why}" for f in result.undecided))
    return result.model


def main(path: str, target: str) -> None:
    """Load, repair, export."""
    model = repaired(keras.saving.load_model(path))
    model.export(target)
    print(f"exported to {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
