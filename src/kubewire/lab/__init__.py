"""A lab: its file, schema and defaults, what `up` records of it, its lock."""
