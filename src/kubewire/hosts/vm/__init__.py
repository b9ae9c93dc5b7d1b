"""A small VM as a lab host, for what this kernel lacks: its parts, its start and its end."""
