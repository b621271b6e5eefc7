"""The HDF5 files that Keras writes: their index read, and links permuted, without libhdf5 and without trust.

Facts about the format are from the HDF5 File Format Specification Version 3.0, cited as "spec" with the section.
"""

from .dataset import Dataset
from .index import Hdf5Index
from .relinking import relink

__all__ = ["Dataset", "Hdf5Index", "relink"]
