"""Exporters: each writes a model in the format of another runtime."""
