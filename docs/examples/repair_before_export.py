"""An export script for a model in a file: it repairs the model first.

    python docs/examples/repair_before_export.py MODEL.keras EXPORT_DIRECTORY

A model that is right goes through untouched. One whose multiplies cannot be decided is not exported: the error says
what a person has to decide, and ``AT`` is where the answer goes.
"""

from __future__ import annotations

import sys

import keras

import rewriter

# What is meant at multiplies that the evidence leaves open: {"scale": "b h w c, b c -> b h w c"}.
AT: dict[str, str] = {}


def main(path: str, target: str) -> None:
    """Load, repair, export."""
    model = keras.saving.load_model(path)
    try:
        result = rewriter.repair(model, at=AT)
    except rewriter.RewriterError as error:
        raise SystemExit(f"error: {error}") from None
    for inserted in result.inserted:
        print(f"inserted {inserted.op} as {inserted.node} ({inserted.rule})")
    if result.undecided:
        raise SystemExit("\n".join(f"{f.node}: {f.message}; {f.why}" for f in result.undecided))
    result.model.export(target, verbose=False)
    print(f"exported to {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
