"""An export script that repairs the model in a file first.

    python docs/examples/repair_before_export.py MODEL.keras EXPORT_DIRECTORY

A model without a fault is exported unchanged. A model with an undecided multiply is not exported: the error says
what a person must decide, and the answer goes into ``AT``.
"""

from __future__ import annotations

import sys

import keras

import rewriter

# The meaning of multiplies that the evidence does not decide: {"scale": "b h w c, b c -> b h w c"}.
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
