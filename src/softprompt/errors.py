"""What the library raises: a fault that its user can mend, and an interruption, which is none."""


class SoftPromptError(ValueError):
    """A fault in what the user gave: one line that names the thing and the mend.

    The command line prints the message alone and exits with 1; Python callers may catch it as `ValueError`.
    """


class Interrupted(KeyboardInterrupt):
    """A run that was asked to stop (Ctrl-C, SIGTERM) and wrote its training state; the message says how it goes on.

    No `SoftPromptError` and no `Exception`: a loop that catches faults and goes on must not swallow it. The command
    line prints the message and exits with 130.
    """
