"""Files and hub data sets into rows, and rows into splits."""
