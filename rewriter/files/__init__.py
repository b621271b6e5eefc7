"""Bytes: archives, HDF5, files that are written whole or not at all. Nothing here knows what a model is."""
