"""A table in the forms that it is read in: a terminal's, Markdown, LaTeX, CSV, JSON, and a page."""
