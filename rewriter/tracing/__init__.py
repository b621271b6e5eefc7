"""Layers with code of their own: their graphs, traced in a process that imports the packages that the user trusts."""
