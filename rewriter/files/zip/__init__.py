"""Zip archives: read without trust, copied with a few members changed, never extracted."""

from .reader import Archive
from .rewriting import Patch, rewrite

__all__ = ["Archive", "Patch", "rewrite"]
