"""Bytes: archives, HDF5, strict JSON and TOML, files written whole or not at all. Nothing knows what a model is."""
