"""Running a matrix: cells, workers, fetching binaries, results."""
