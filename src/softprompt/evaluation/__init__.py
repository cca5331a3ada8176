"""What a prompt is worth: answers, metrics, comparisons."""
