"""Hostile and broken configurations: named cases with their honest twins, and a mutator that looks for more."""
