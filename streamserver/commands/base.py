"""What the commands share."""


class CommandError(Exception):
    """What was asked cannot be done; the message says what to do about it, in one line."""
