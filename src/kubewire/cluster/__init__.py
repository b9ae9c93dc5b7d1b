"""The Kubernetes API: a small client, readiness, rollouts, and how objects differ."""
