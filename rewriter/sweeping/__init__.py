"""Sweeps: the models of whole folders and buckets are looked at, remembered and summed up.

``systems`` are the file systems, ``finding`` finds models in them and ``opening`` opens them; ``look`` looks at one,
``workers`` spreads the looks over processes, ``store`` remembers the outcomes, ``sweep`` drives them, and ``summary``
and ``tables`` show what the store holds.
"""
