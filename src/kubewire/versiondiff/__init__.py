"""What changed between two recorded dataplanes, and why. Pure: compares snapshots."""
