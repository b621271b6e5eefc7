"""Broken models made of valid ones: the edits, the table of mutants, and what a repair owes for each."""
