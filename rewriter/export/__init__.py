"""Translators of a model into the form of another runtime."""
