"""Keras's own files: the archive of Keras 3, and the configuration alone as JSON."""
