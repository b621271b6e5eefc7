"""The passes: find the faults, decide what was meant, rewrite the graph.

Each file by what it does to a finding, in the order of the stages (``stages.STAGES``, listed in
docs/how-it-decides.md):

- what a finding is: ``finding``, ``decision`` (the record), ``stages`` (the table and its words), ``verdicts``;
- where tensors meet, and what is wrong there: ``sites``, ``find``, ``contractions``, ``batches``;
- what can be meant: ``readings`` (from rules, ``placements``, ``joining``, ``subscripts``), ``recorded`` (a lost
  Reshape), ``unlisted`` (what no inserted node does);
- which of it: ``evidence``, ``intent``, ``ranking`` (the kinds of evidence in order), ``candidates`` (ranked readings
  and doubts), ``resolve`` (the decision at a node);
- with what follows: ``places``, ``suppositions``, ``search``, ``contradictions``, ``downstream``; and what may be wrong
  above: ``upstream``;
- the whole model: ``analysis``; then what people state, the rewriting and the rounds: ``pipeline``, ``plan``,
  ``rewrite``, ``changes``;
- two shapes without a model: ``suggest``.
"""
