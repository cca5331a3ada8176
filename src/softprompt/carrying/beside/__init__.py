"""Files that are written beside what they load, word for word: they know torch and transformers alone."""
