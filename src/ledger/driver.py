"""What the database's driver says of an error, as far as it may be shown: its first line alone.

What follows it, details and hints, quotes rows.
"""

import psycopg


def first_message(error: Exception) -> str:
    """The server's message, or else the first line of the driver's own words."""
    told = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return (told or str(error).strip() or type(error).__name__).splitlines()[0]


def sentence(error: Exception) -> str:
    """The same, with what kind of error it is."""
    return f"{type(error).__name__}: {first_message(error)}"
