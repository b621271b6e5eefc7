"""Run a repaired model in Keras, and compare it with what it must compute."""
