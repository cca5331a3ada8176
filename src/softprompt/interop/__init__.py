"""What other libraries write, read as prompts of this one."""
