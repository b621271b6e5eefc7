"""What `tools/keras_versions.py` runs in each version of Keras: models to break, and the comparison with their truth.

Nothing here imports the package or the tests: an old Keras runs it.
"""
