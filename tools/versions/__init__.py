"""Scripts that `tools/keras_versions.py` runs in each version of Keras: models to break, and a comparison.

No module here imports the package or the tests: an old Keras runs it.
"""
