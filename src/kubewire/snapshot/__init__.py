"""Everything that was observed, as files: collecting it, the folder, the archive."""
