"""Broken models made from valid ones: the edits, the table of mutants, and the expected repair of each."""
