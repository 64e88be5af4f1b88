"""The one kind of error that a person is meant to read."""


class TicketSentimentError(Exception):
    """A problem that a person can fix.

    The message is one line that names what was wrong, where (file, row, column, key), what was
    expected and what to do. The command line prints it without a traceback and exits with 2.
    It never carries ticket text, a customer's name or a secret.
    """
