"""Read the index of untrusted HDF5 files as Keras writes them, and permute their links, without libhdf5.

Facts about the format are from the HDF5 File Format Specification Version 3.0, cited as "spec" with the section.
"""

from .dataset import Dataset
from .index import Hdf5Index
from .relinking import relink

__all__ = ["Dataset", "Hdf5Index", "relink"]
