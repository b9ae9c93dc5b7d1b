"""Running a matrix: cells, who runs them, fetching what they need, and the results."""
