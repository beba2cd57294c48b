"""Where the embedded PostgreSQL keeps its files, and as which user it runs."""

import os
import pwd
import secrets
import shutil
import tempfile
from pathlib import Path

import msgspec

from ledger.embedded.errors import EmbeddedPostgresError
from ledger.embedded.lock import OwnerLock
from ledger.embedded.paths import User, make_folder, reachable, write_durably

NOBODY = 65534
PATH_BYTES_MAX = 900  # PostgreSQL's own limit for a path is 1,023 bytes, file names included
ELSEWHERE = (Path("/var/lib/mintage"), Path("/var/tmp/mintage"))  # noqa: S108 - 0711, random names


class Passwords(msgspec.Struct, frozen=True):
    """Made once for each home, kept 0600."""

    superuser: str
    owner: str
    application: str


class Files:
    """The files of one home.

    `control` lies in the home and is ours: lock, passwords, state. `folder` holds the data, the log
    and, where needed, a copy of the binaries; it is `control` unless the server's user cannot reach
    that.
    """

    def __init__(self, home: Path) -> None:
        """Make the folders of `home`. Raises `EmbeddedPostgresError` where that cannot be."""
        self.home = Path(os.path.abspath(home))  # noqa: PTH100 - resolve() would follow symbolic links
        self.control = self.home / "postgres"
        if len(os.fsencode(self.control)) > PATH_BYTES_MAX:
            raise EmbeddedPostgresError(
                f"the path of the data folder has more than {PATH_BYTES_MAX} bytes: "
                f"set MINTAGE_HOME to a shorter one than {str(self.home)[:60]}…"
            )
        try:
            make_folder(self.control, 0o711 if os.geteuid() == 0 else 0o700)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"cannot make {self.control} ({error.strerror}): "
                "set MINTAGE_HOME to a folder of yours"
            ) from error
        self._lock = self.control / "owner.lock"
        self.state = self.control / "server.json"
        self._passwords = self.control / "passwords.json"
        self._pointer = self.control / "location"

    @property
    def folder(self) -> Path:
        """Where the data is; follows the pointer file."""
        try:
            return Path(os.fsdecode(self._pointer.read_bytes().rstrip(b"\n")))
        except FileNotFoundError:
            return self.control

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says; never holds a password."""
        return self.folder / "server.log"

    @property
    def prepared(self) -> Path:
        """Exists once roles and database do."""
        return self.folder / "prepared"

    def acquire(self) -> OwnerLock | None:
        """Become the owner, or None where another live process is. Never waits."""
        try:
            return OwnerLock.acquire(self._lock)
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f"{self._lock} belongs to another user: set MINTAGE_HOME to a folder of yours"
            ) from error

    def owner_pid(self) -> int | None:
        """Read the pid that last took the lock."""
        try:
            return int(self._lock.read_text())
        except (OSError, ValueError):
            return None

    def user(self) -> User | None:
        """Whom the server runs as; None is ourselves. PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return None
        if self.data.exists() and (stat := self.data.stat()).st_uid != 0:
            return User(stat.st_uid, stat.st_gid)
        try:
            entry = pwd.getpwnam("nobody")
        except KeyError:
            # initdb insists on a user that has a name.
            entry = max(pwd.getpwall(), key=lambda entry: entry.pw_uid)
        return User(entry.pw_uid, entry.pw_gid) if entry.pw_uid else User(NOBODY, NOBODY)

    def settle(self, user: User | None) -> None:
        """Choose the folder, once for the life of the home; under the lock only."""
        if user is None or self._pointer.exists() or reachable(self.control, user):
            return
        for base in ELSEWHERE:
            try:
                make_folder(base, 0o711)
                folder = Path(tempfile.mkdtemp(prefix="home-", dir=base))
            except OSError:
                continue
            folder.chmod(0o711)
            if reachable(folder, user):
                write_durably(self._pointer, os.fsencode(folder) + b"\n", 0o644)
                return
            folder.rmdir()
        raise EmbeddedPostgresError(
            f"the server's user (uid {user.uid}) can reach neither {self.control} nor "
            f"{' nor '.join(map(str, ELSEWHERE))}: set MINTAGE_HOME to a folder that it can"
        )

    def passwords(self) -> Passwords:
        """Read the passwords, made at first; they are on disk before the data is."""
        try:
            return msgspec.json.decode(self._passwords.read_bytes(), type=Passwords)
        except FileNotFoundError:
            if self.data.exists():
                raise EmbeddedPostgresError(
                    f"{self._passwords} is gone but {self.data} is there: put it back, "
                    "or remove the data to begin anew"
                ) from None
        made = Passwords(*(secrets.token_urlsafe(24) for _ in range(3)))
        write_durably(self._passwords, msgspec.json.encode(made), 0o600)
        return made

    def remove(self) -> None:
        """Delete everything but the lock; under the lock only."""
        folder = self.folder
        if folder != self.control:
            shutil.rmtree(folder, ignore_errors=True)
        for path in self.control.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != self._lock:
                path.unlink()
