"""Everything that was observed, as files: collector, folder, archive."""
