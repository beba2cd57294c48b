"""The storage port: where the bytes of pictures lie, under keys that are never written twice."""

from typing import Protocol

import msgspec


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing tells of one object; `modified_at` is a POSIX time in seconds."""

    key: str
    bytes: int
    modified_at: float


class StorageError(Exception):
    """Storage did not do what was asked; the message names the operation, never a secret."""


class ObjectNotFoundError(StorageError):
    """No object has that key."""


class StorageUnavailableError(StorageError):
    """Storage is out of reach or refuses our credentials."""


class Storage(Protocol):
    """Synchronous; call it from a bounded thread pool. Keys match `[A-Za-z0-9_./-]{1,512}`."""

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Durable once it returns; a key is written once, a second put of it is refused."""
        ...

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes, or the range asked for. Raises `ObjectNotFoundError`."""
        ...

    def stat(self, key: str) -> StoredObject:
        """Size and age. Raises `ObjectNotFoundError`."""
        ...

    def delete(self, key: str) -> None:
        """Gone afterwards; deleting what is not there is no error."""
        ...

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        """Objects below `prefix` in key order, those after the key `after` only."""
        ...

    def link(
        self, key: str, *, expires_seconds: int, mime_type: str, download_name: str | None = None
    ) -> str:
        """A URL that opens the object for `expires_seconds` (1 to 300) and then no more.

        With `download_name` the answer carries `Content-Disposition: attachment`.
        """
        ...

    def check(self) -> None:
        """Raise `StorageUnavailableError` if objects could not be read and written now."""
        ...
