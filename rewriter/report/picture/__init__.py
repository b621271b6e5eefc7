"""Pictures of graphs: what is drawn (``model``), of which nodes (``scenes``, ``whole``), where (``layout``), as SVG."""
