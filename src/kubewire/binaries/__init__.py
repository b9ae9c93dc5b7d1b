"""Kubernetes' binaries: which versions there are, fetching or building them, the cache."""
