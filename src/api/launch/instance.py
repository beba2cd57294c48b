"""One `mintage up` a data folder: who has it, and where that one answers."""

import os
from pathlib import Path

import msgspec

from ledger.embedded.lock import OwnerLock
from ledger.embedded.paths import make_folder, write_durably


class Running(msgspec.Struct, frozen=True):
    """The `up` that has a data folder; `url` is None while it starts."""

    pid: int
    url: str | None


class HomeTakenError(Exception):
    """Another `up` has the data folder; the message says which and what to do."""


class HomeUnusableError(Exception):
    """The data folder cannot be made or written; names it."""


class Instance:
    """The mark of one owner on a data folder; it goes with the process, however that ends."""

    def __init__(self, home: Path, lock: OwnerLock) -> None:
        self.home = home
        self._lock = lock

    @classmethod
    def claim(cls, home: Path) -> "Instance":
        """Make the folder if need be, and own it. Raises `HomeTakenError`, `HomeUnusableError`."""
        try:
            # As root the server runs as another user, who has to get through to its own folder.
            make_folder(home, 0o711 if os.geteuid() == 0 else 0o700)
            lock = OwnerLock.acquire(home / "up.lock")
        except OSError as error:
            raise HomeUnusableError(
                f"cannot use {home} ({error.strerror}): set MINTAGE_HOME to a folder of yours"
            ) from error
        if lock is None:
            raise HomeTakenError(_taken(home))
        instance = cls(home, lock)
        instance.announce(None)
        return instance

    def announce(self, url: str | None) -> None:
        """Say where we answer."""
        running = Running(os.getpid(), url)
        write_durably(self.home / "up.json", msgspec.json.encode(running), 0o644)

    def release(self) -> None:
        """Let another one have the folder; safe to call twice."""
        (self.home / "up.json").unlink(missing_ok=True)
        self._lock.release()


def _taken(home: Path) -> str:
    try:
        running = msgspec.json.decode((home / "up.json").read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return f"another process has {home} and has only just begun"
    where = f"and answers at {running.url}" if running.url else "and is still starting"
    return (
        f"Mintage runs on {home} already: process {running.pid} has it {where}.\n"
        f"Stop that one (Ctrl-C there, or: kill {running.pid}), "
        "or set MINTAGE_HOME and PORT for another."
    )
