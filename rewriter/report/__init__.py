"""How results are shown: text, JSON, SARIF and GitHub annotations, all from one set of typed results."""
