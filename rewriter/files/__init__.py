"""Bytes: archives, HDF5, strict JSON and TOML, atomic file writing. No module here knows what a model is."""
