"""The version, which files that are written name."""

__version__ = "0.1.0"
