"""The one error that users are meant to read."""


class InputError(Exception):
    """Something the user gave is missing or wrong. The message names the file or key, what is wrong and what to do.

    The command line prints it on one line, without a traceback, and exits with status 2.
    """
