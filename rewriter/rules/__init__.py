"""What a multiply can mean: equations over named axes, how they match operands, and the nodes that implement them."""
