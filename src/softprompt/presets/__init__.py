"""Presets: the settings of a paper's own runs, as data."""
