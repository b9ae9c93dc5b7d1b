"""Kubernetes' binaries: available versions, fetching, building, the cache."""
