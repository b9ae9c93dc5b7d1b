"""Node images for kind, built without a registry."""
