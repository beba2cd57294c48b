"""The storage port: where the bytes of pictures lie, under keys that are never written twice."""

import re
import unicodedata
from typing import Protocol
from urllib.parse import quote

import msgspec

LINK_SECONDS_MAX = 300
DOWNLOAD_NAME_CHARACTERS_MAX = 120
KEY_CHARACTERS_MAX = 512
KEY_SEGMENT_CHARACTERS_MAX = 200

_KEY = re.compile(rf"[A-Za-z0-9_./-]{{1,{KEY_CHARACTERS_MAX}}}")


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing tells of one object; `modified_at` is a POSIX time in seconds."""

    key: str
    bytes: int
    modified_at: float


class StorageError(Exception):
    """Storage did not do what was asked; the message names the operation, never a secret."""


class ObjectNotFoundError(StorageError):
    """No object has that key."""


class ObjectExistsError(StorageError):
    """That key has been written before; it keeps what it has."""


class StorageUnavailableError(StorageError):
    """Storage is out of reach, full, or refuses our credentials."""


def check_key(key: str) -> None:
    """Raise `ValueError` unless `key` names an object in every adapter.

    No segment between slashes may be empty, `.`, `..` or longer than a file's name can be.
    """
    fits = _KEY.fullmatch(key) is not None and all(
        segment not in {"", ".", ".."} and len(segment) <= KEY_SEGMENT_CHARACTERS_MAX
        for segment in key.split("/")
    )
    if not fits:
        raise ValueError(f"not a storage key: {key[:80]!r}")


def check_range(offset: int, length: int | None) -> None:
    """Raise `ValueError` unless both are at least 0."""
    if offset < 0 or (length is not None and length < 0):
        raise ValueError(f"not a range: offset {offset}, length {length}")


def check_link_seconds(expires_seconds: int) -> None:
    """Raise `ValueError` unless a link may live that long."""
    if not 1 <= expires_seconds <= LINK_SECONDS_MAX:
        raise ValueError(f"a link lives 1 to {LINK_SECONDS_MAX} seconds, not {expires_seconds}")


def file_name(text: str) -> str:
    """Make a file's name of any text: one that is safe everywhere, and keeps Chinese."""
    kept = "".join(
        "_" if c in '/\\:*?"<>|%' else c
        for c in unicodedata.normalize("NFC", text)
        if unicodedata.category(c)[0] != "C"
    )
    stem, dot, extension = kept.rpartition(".")
    if len(kept) > DOWNLOAD_NAME_CHARACTERS_MAX > len(dot + extension):
        kept = stem[: DOWNLOAD_NAME_CHARACTERS_MAX - len(dot + extension)] + dot + extension
    # A leading dot would hide the file, or climb; a trailing one is lost on Windows.
    return kept[:DOWNLOAD_NAME_CHARACTERS_MAX].strip(" .") or "image"


def content_disposition(download_name: str) -> str:
    """Build an `attachment` header of RFC 6266, with a name made safe."""
    name = file_name(download_name)
    fallback = "".join(c if " " <= c <= "~" else "_" for c in name)
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"


class Storage(Protocol):
    """Synchronous and safe for threads; call it from a bounded thread pool.

    Keys match `[A-Za-z0-9_./-]{1,512}` and `check_key`; another is a `ValueError`. One key may
    not be the folder of another. Everything else that goes wrong is a `StorageError`.
    """

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Durable once it returns; a second put of a key raises `ObjectExistsError`."""
        ...

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return the bytes, or what there is of the range. Raises `ObjectNotFoundError`."""
        ...

    def stat(self, key: str) -> StoredObject:
        """Size and age. Raises `ObjectNotFoundError`."""
        ...

    def delete(self, key: str) -> None:
        """Gone afterwards; deleting what is not there is no error."""
        ...

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        """List objects whose keys begin with `prefix`, those after the key `after` only.

        The order is fixed, so that paging with the last key misses nothing; it is the keys' own
        wherever the server keeps S3's rule (SeaweedFS sorts `a/b` before `a-b`).
        """
        ...

    def link(
        self, key: str, *, expires_seconds: int, mime_type: str, download_name: str | None = None
    ) -> str:
        """Make a URL that opens the object for `expires_seconds` (1 to 300) and then no more.

        With `download_name` the answer carries `Content-Disposition: attachment`. Makes no call:
        the object's existence shows when the link is opened.
        """
        ...

    def check(self) -> None:
        """Raise `StorageUnavailableError` if storage does not answer us now; for readiness."""
        ...

    def close(self) -> None:
        """Give back connections; safe to call twice."""
        ...
