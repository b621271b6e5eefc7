"""The graph and its values: sizes, named axes, operations and the tensors between them. No format, no framework."""
