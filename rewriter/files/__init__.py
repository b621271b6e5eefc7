"""Bytes: archives, HDF5, strict JSON and TOML, files that are written whole or not at all. Nothing here knows what a model is."""
