"""The passes: find the faults, resolve what was meant, rewrite the graph, verify the result."""
