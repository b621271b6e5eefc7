"""Axis inference: one rule per layer class (``layers/``) and per op (``ops/``), and the driver that applies them."""
