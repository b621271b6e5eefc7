"""Sweeps over folders and buckets."""
