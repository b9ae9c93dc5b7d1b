"""A small VM as a lab host, for modes that this kernel lacks: its parts, its start and its end."""
