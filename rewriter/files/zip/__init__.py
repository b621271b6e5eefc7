"""Zip archives: untrusted ones read without extracting them, and copied with a few members changed."""

from .reader import Archive
from .rewriting import Patch, rewrite

__all__ = ["Archive", "Patch", "rewrite"]
