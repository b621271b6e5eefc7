"""How results are shown: as text, JSON, SARIF and GitHub annotations. One set of typed results renders as all of them."""
