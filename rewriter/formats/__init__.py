"""Readers and writers of models, one folder for each family of formats; ``registry`` detects a file's format."""
