"""The one exception that the library raises for a fault that its user can mend."""


class SoftPromptError(ValueError):
    """A fault in what the user gave: one line that names the thing and the mend.

    The command line prints the message alone and exits with 1; Python callers may catch it as `ValueError`.
    """
