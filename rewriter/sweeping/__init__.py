"""Sweeps: the models of whole folders and buckets are looked at, remembered and summed up.

``places`` finds and opens files, ``look`` looks at one, ``workers`` spreads the looks over processes, ``store``
remembers the outcomes, ``sweep`` drives them, and ``summary`` counts what the store holds.
"""
