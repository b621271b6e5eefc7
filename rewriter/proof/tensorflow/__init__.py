"""Run a repaired SavedModel in TensorFlow, and compare it with the original."""
