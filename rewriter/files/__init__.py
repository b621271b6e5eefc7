"""Bytes: archives, HDF5, strict JSON and TOML, atomic file writing. Nothing here depends on what a model is."""
