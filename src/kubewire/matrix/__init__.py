"""Pure: which labs, versions and modes a nightly has, and what it found."""
