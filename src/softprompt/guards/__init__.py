"""What stands between the library and whatever a user hands it: paths, and limits on what is parsed."""
