"""The base of all other packages: files, processes, and text that is safe to print."""
