"""Pure: the cells of a nightly (labs, versions, modes) and its results."""
