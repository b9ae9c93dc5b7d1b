"""What changed between two recorded dataplanes, and why. Pure: snapshots in, changes out."""
