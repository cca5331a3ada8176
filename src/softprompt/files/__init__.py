"""Files that are written whole, read back against a checksum, and swept where a kill left scraps."""
