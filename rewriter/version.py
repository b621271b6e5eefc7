"""The version; written files name it."""

__version__ = "0.1.0"
