"""Zip archives: read without trust, copied with a few members changed, never extracted."""

from rewriter.formats.archive.reader import Archive
from rewriter.formats.archive.rewriting import Patch, rewrite

__all__ = ["Archive", "Patch", "rewrite"]
