"""The proof of a repaired SavedModel, run by TensorFlow."""
