"""Folders and files: made with a stated mode, written whole, judged reachable or not."""

import os
import tempfile
from pathlib import Path

import msgspec


class User(msgspec.Struct, frozen=True):
    """The unprivileged user that the server runs as when we are root."""

    uid: int
    gid: int


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder and its missing parents with `mode`; those that exist stay as they are."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(mode)  # mkdir's own mode is cut by the umask


def write_durably(path: Path, content: bytes, mode: int) -> None:
    """Write a whole file or none, flushed to disk."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    Path(partial).rename(path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reachable(folder: Path, user: User) -> bool:
    """Tell by the mode bits whether `user` may go through every folder down to `folder`."""
    resolved = folder.resolve()
    return all(_permits(path, user, 0o1) for path in (resolved, *resolved.parents))


def runnable(folder: Path, user: User) -> bool:
    """Tell whether `user` may read and run the programs and libraries in `folder`."""
    return reachable(folder, user) and all(
        _permits(path, user, 0o5)
        for path in (folder, *folder.glob("bin/*"), *folder.glob("*/"), *folder.glob("*.so*"))
    )


def _permits(path: Path, user: User, wanted: int) -> bool:
    stat = path.stat()
    shift = 6 if stat.st_uid == user.uid else 3 if stat.st_gid == user.gid else 0
    return (stat.st_mode >> shift) & wanted == wanted
