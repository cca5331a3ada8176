"""One page a run: what was trained, what it answers, what its prompt is. `softprompt.explain.report.page` makes it."""
