"""Keras's own files: ``.keras`` archives and folders, ``.h5`` files, and the configuration alone as JSON."""
