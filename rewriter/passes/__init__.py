"""The passes: find the faults, decide what was meant, rewrite the graph.

The files in the order of the stages (``stages.STAGES``, listed in docs/how-it-decides.md):

- a finding: ``finding``, ``codes`` (its kinds), ``candidate``, ``decision`` (the record), ``stages`` (the table and its
  words), ``row`` (base of table rows), ``verdicts``;
- where tensors meet, and the faults there: ``sites``, ``find``, ``contractions``, ``batches``;
- the possible readings: ``readings`` (from rules, ``placements``, ``joining``, ``subscripts``), ``recorded`` (a lost
  Reshape), ``unlisted`` (repairs that no inserted node makes);
- the choice at a node: ``evidence``, ``intent``, ``records`` (recorded shapes), ``ranking`` (the criteria in order),
  ``candidates`` (ranked readings and doubts), ``resolve`` (the decision at a node);
- evidence downstream: ``places``, ``suppositions``, ``search``, ``contradictions``, ``downstream``; and possible faults
  above: ``upstream``;
- the whole model: ``analysis``; then user choices, the rewriting and its rounds: ``nodes``, ``pipeline``, ``plan``,
  ``rewrite``, ``changes``, ``seen`` (what a report draws);
- two shapes without a model: ``suggest``.
"""
