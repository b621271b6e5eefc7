"""Valid models full of legal broadcasts, drawn at random: a module of idioms for each family.

`idiom.IDIOMS` holds all idioms, `draw.Draw` makes their random choices, `build.valid_model` joins some of them in a
model, and `proof.fault` runs a model at several batch sizes to show that it is right.
"""
