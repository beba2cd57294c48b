"""What can go wrong with the embedded PostgreSQL.

EmbeddedPostgresError
├── HomeInUseError      another live process owns the home, and we cannot attach to its server
└── ServerStartError    the server did not come up; carries the tail of its log

Messages name files and pids, never a password.
"""

from pathlib import Path


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL could not do what was asked; says what to do where that is known."""


class HomeInUseError(EmbeddedPostgresError):
    """Another process owns the home; `owner_pid` is its pid where it could be read."""

    def __init__(self, home: Path, owner_pid: int | None, reason: str) -> None:
        self.owner_pid = owner_pid
        super().__init__(f"{home} is in use by process {owner_pid or 'unknown'}: {reason}")


class ServerStartError(EmbeddedPostgresError):
    """The server ended or was not ready in time."""
