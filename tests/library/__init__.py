"""The library as people use it: its names, its signatures, and the display of its results."""
