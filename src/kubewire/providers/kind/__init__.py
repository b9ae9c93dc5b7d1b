"""The kind provider: nodes as containers of a kind cluster."""
