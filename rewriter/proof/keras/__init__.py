"""A repaired model run by Keras, beside what it must compute."""
