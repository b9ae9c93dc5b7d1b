"""What makes nodes and says how to run a command on them."""
