"""Pictures and pages that show what prompts do."""
