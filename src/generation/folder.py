"""Pictures in a folder: the storage of the embedded service."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path

from generation.links import LinkClaims, LinkSigner
from generation.storage import (
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    StorageUnavailableError,
    StoredObject,
    check_key,
    check_link_seconds,
    check_range,
)

TEMPORARY_AGE_SECONDS_MAX = 3600
"""A temporary file this old belongs to a process that died while it wrote."""

SYNCED_MAX = 10_000


class OpenedLink(LinkClaims, frozen=True, kw_only=True):
    """What a link stands for: the file, and the headers to serve it with."""

    path: Path


class FolderStorage:
    """`Storage` in the folder `root`, on one file system that has hard links.

    Any number of processes may share it. `secret` (16 bytes or more) signs the links, which begin
    with `base_url` and are opened by `open_link`.
    """

    def __init__(
        self, root: Path, *, base_url: str, secret: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        """Make the folder if it is missing. Raises `StorageUnavailableError`."""
        self._signer = LinkSigner(secret, clock)
        self._base_url = base_url.rstrip("/")
        self._objects = root / "objects"
        self._temporary = root / "temporary"
        self._synced: set[Path] = set()  # folders that no crash can lose any more
        with _translated("open"):
            self._objects.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._temporary.mkdir(exist_ok=True, mode=0o700)
            _remove_older_than(self._temporary, time.time() - TEMPORARY_AGE_SECONDS_MAX)

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Write, sync, then link: a reader sees the whole object or none."""
        check_key(key)
        del mime_type  # the link carries it
        temporary = self._temporary / secrets.token_hex(16)
        with _translated("put", key):
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                path = self._objects / key
                self._make(path.parent)
                # Unlike a rename, a link refuses a name that is taken.
                os.link(temporary, path)
                self._sync(path.parent)
            finally:
                temporary.unlink(missing_ok=True)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Read from `offset` on."""
        check_key(key)
        check_range(offset, length)
        with _translated("get", key), (self._objects / key).open("rb") as file:
            file.seek(offset)
            return file.read(-1 if length is None else length)

    def stat(self, key: str) -> StoredObject:
        """Tell the file's size and time."""
        check_key(key)
        with _translated("stat", key):
            path = self._objects / key
            if path.is_dir():
                raise FileNotFoundError
            return _describe(key, path.stat())

    def delete(self, key: str) -> None:
        """Remove the file; its folder stays, so that no put beside it can fail."""
        check_key(key)
        with _translated("delete", key):
            path = self._objects / key
            if not path.parent.is_dir() or path.is_dir():
                return
            path.unlink(missing_ok=True)
            _sync_folder(path.parent)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        """Walk only the folders that can hold keys of the page."""
        with _translated("list", prefix):
            return list(islice(_walk(self._objects, "", prefix, after), limit))

    def link(
        self, key: str, *, expires_seconds: int, mime_type: str, download_name: str | None = None
    ) -> str:
        """Sign a URL below `base_url`."""
        check_key(key)
        check_link_seconds(expires_seconds)
        token = self._signer.sign(
            key, expires_seconds=expires_seconds, mime_type=mime_type, download_name=download_name
        )
        return f"{self._base_url}/files/{token}"

    def open_link(self, token: str) -> OpenedLink:
        """Find what the token was signed for. Raises `LinkRefusedError`, `ObjectNotFoundError`."""
        claims = self._signer.open(token)
        path = self._objects / claims.key
        if not path.is_file():
            raise ObjectNotFoundError("open link: the object is gone")
        return OpenedLink(
            key=claims.key,
            expires_at=claims.expires_at,
            mime_type=claims.mime_type,
            download_name=claims.download_name,
            path=path,
        )

    def _make(self, folder: Path) -> None:
        for missing in takewhile(lambda each: not each.is_dir(), (folder, *folder.parents)):
            self._synced.discard(missing)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _sync(self, folder: Path) -> None:
        """What is in it, and the way to it: also folders that another process has just made."""
        _sync_folder(folder)
        way = list(
            takewhile(
                lambda each: each != self._objects and each not in self._synced,
                (folder, *folder.parents),
            )
        )
        for each in way:
            _sync_folder(each.parent)
        if len(self._synced) > SYNCED_MAX:
            self._synced.clear()
        self._synced.update(way)

    def check(self) -> None:
        """Write, sync and remove a small file."""
        probe = self._temporary / secrets.token_hex(16)
        with _translated("check"):
            try:
                with probe.open("xb") as file:
                    file.write(b"mintage")
                    os.fsync(file.fileno())
            finally:
                probe.unlink(missing_ok=True)

    def close(self) -> None:
        """Do nothing: no file stays open."""


@contextmanager
def _translated(operation: str, key: str = "") -> Iterator[None]:
    """Turn the file system's errors into the port's, once."""
    what = f"{operation} {key}".strip()
    try:
        yield
    except (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        if operation in {"get", "stat"}:
            raise ObjectNotFoundError(f"{what}: no such object") from None
        if operation == "put" and isinstance(error, FileExistsError):
            raise ObjectExistsError(f"{what}: the key is taken") from None
        if operation == "put" and isinstance(error, NotADirectoryError):
            raise StorageError(f"{what}: a part of the key is an object") from error
        raise StorageUnavailableError(f"{what}: {error.strerror}") from error
    except OSError as error:
        raise StorageUnavailableError(f"{what}: {error.strerror}") from error


def _walk(folder: Path, above: str, prefix: str, after: str) -> Iterator[StoredObject]:
    """Objects in key order; a folder's name counts with its slash, as it does in a key."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                above + entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
                for entry in entries
            )
    except FileNotFoundError:
        return
    for name in names:
        if name.endswith("/"):
            on_the_way = name.startswith(prefix) or prefix.startswith(name)
            if on_the_way and (name > after or after.startswith(name)):
                yield from _walk(folder / name.removeprefix(above), name, prefix, after)
        elif name.startswith(prefix) and name > after:
            try:
                yield _describe(name, (folder / name.removeprefix(above)).stat())
            except FileNotFoundError:
                continue


def _describe(key: str, status: os.stat_result) -> StoredObject:
    return StoredObject(key=key, bytes=status.st_size, modified_at=status.st_mtime)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_older_than(folder: Path, modified_at: float) -> None:
    for path in folder.iterdir():
        try:
            if path.stat().st_mtime < modified_at:
                path.unlink()
        except FileNotFoundError:  # another process was quicker
            continue
