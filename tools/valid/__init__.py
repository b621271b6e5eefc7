"""Valid models full of legal broadcasts, drawn at random: a module of idioms for each family.

`idiom.IDIOMS` holds them all, `draw.Draw` has what they draw from, `build.valid_model` joins some of them in a model,
and `proof.fault` shows by running it that a model is right at every batch size.
"""
