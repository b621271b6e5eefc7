"""Tests of the rewriter, with Keras as the judge."""
