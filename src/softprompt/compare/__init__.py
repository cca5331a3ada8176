"""Many runs side by side: arms of layers, and whether a difference is more than chance."""
