"""Readers and writers of models, a folder for each family of formats; ``registry`` tells which one a file is."""
