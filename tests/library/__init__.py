"""The library as people write it: its names, its signatures, and what its results show of themselves."""
