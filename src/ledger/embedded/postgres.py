"""A running server as its users see it: started or attached to, named by URLs, stopped, removed."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import msgspec

from ledger.embedded import roles, server
from ledger.embedded.binaries import find_binaries
from ledger.embedded.cluster import Cluster
from ledger.embedded.errors import HomeInUseError
from ledger.embedded.files import Files
from ledger.embedded.lock import OwnerLock
from ledger.embedded.paths import write_durably

DATABASE = "mintage"
START_SECONDS_MAX = 30.0  # when seconds_max is not given
STOP_SECONDS_MAX = 20.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path is limited to 107 bytes, ours is not
    "max_connections": "200",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",  # compiling costs more than our short statements take
    "log_checkpoints": "off",  # the log is turned at start only
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


class _State(msgspec.Struct, frozen=True):
    owner_pid: int
    server_pid: int
    port: int


class EmbeddedPostgres:
    """A running server. Get one from `start`; leaving the `with` block stops it for its owner.

    The owner's server ends with the owner, also after `kill -9`. Fork no process that outlives you
    without an exec: it would keep the lock.
    """

    def __init__(
        self,
        files: Files,
        state: _State,
        lock: OwnerLock | None = None,
        child: server.Child | None = None,
    ) -> None:
        self._files = files
        self._state = state
        self._lock = lock
        self._child = child
        self._passwords = files.passwords()
        self.home = files.home
        self.data_directory = files.data
        self.log = files.log
        self.port = state.port
        self.owner_pid = state.owner_pid
        self.server_pid = state.server_pid
        self.owner = lock is not None
        self.relocated = files.folder != files.control

    @classmethod
    def start(
        cls,
        home: Path,
        *,
        settings: Mapping[str, str] | None = None,
        seconds_max: float = START_SECONDS_MAX,
    ) -> Self:
        """Start the server of `home`, or attach to the one that another process started.

        Raises `EmbeddedPostgresError` or a subclass within about `seconds_max`. `settings` are
        PostgreSQL's own, for the owner only.
        """
        files = Files(home)
        deadline = time.monotonic() + seconds_max
        while True:
            lock = files.acquire()
            if lock is not None:
                try:
                    return cls._own(files, lock, {**SETTINGS, **(settings or {})}, deadline)
                except BaseException:
                    lock.release()
                    raise
            state = _attachable(files)
            if state is not None:
                return cls(files, state)
            if time.monotonic() > deadline:
                reason = f"its server was not ready within {seconds_max:.0f} s"
                raise HomeInUseError(files.home, files.owner_pid(), reason)
            time.sleep(server.POLL_SECONDS)

    @classmethod
    def _own(
        cls, files: Files, lock: OwnerLock, settings: Mapping[str, str], deadline: float
    ) -> Self:
        last = _read_state(files)
        files.state.unlink(missing_ok=True)
        user = files.user()
        files.settle(user)
        passwords = files.passwords()
        binaries = find_binaries(files.folder, user)
        server.turn_log(files.log)
        server.clear_leftovers(files.data, seconds=deadline - time.monotonic())
        cluster = Cluster(files, binaries, user)
        if not files.data.exists():
            cluster.make(passwords.superuser)
        child, port = cluster.start(settings, deadline=deadline, port=last.port if last else 0)
        try:
            state = _State(os.getpid(), child.pid, port)
            postgres = cls(files, state, lock, child)
            if not files.prepared.exists():
                roles.prepare(postgres.superuser_url, DATABASE, passwords)
                write_durably(files.prepared, b"", 0o644)
            write_durably(files.state, msgspec.json.encode(state), 0o600)
        except BaseException:
            server.stop(child, seconds=STOP_SECONDS_MAX)
            raise
        return postgres

    @property
    def database_url(self) -> str:
        """For the application's role, which owns nothing."""
        return self.url(roles.APPLICATION)

    @property
    def migration_database_url(self) -> str:
        """For the role that owns the database and its tables."""
        return self.url(roles.OWNER)

    @property
    def superuser_url(self) -> str:
        """For maintenance of the server itself; nothing in the service uses it."""
        return self.url(roles.SUPERUSER, "postgres")

    def url(self, role: str, database: str = DATABASE) -> str:
        """Make the URL of any database of this server for one of its three roles."""
        password = {
            roles.APPLICATION: self._passwords.application,
            roles.OWNER: self._passwords.owner,
            roles.SUPERUSER: self._passwords.superuser,
        }[role]
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{quote(database)}"

    @property
    def running(self) -> bool:
        """Whether the server still runs; for one attached to, whether it still answers."""
        return server.answers(self.port) if self._child is None else self._child.running

    def stop(self) -> None:
        """Stop the server if we own it, in at most 30 s; safe to call twice."""
        if self._child is not None:
            server.stop(self._child, seconds=STOP_SECONDS_MAX)
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def remove(home: Path) -> None:
    """Delete the server of `home` and its data. Raises `HomeInUseError` while it is owned."""
    files = Files(home)
    lock = files.acquire()
    if lock is None:
        raise HomeInUseError(files.home, files.owner_pid(), "stop it first")
    try:
        server.clear_leftovers(files.data, seconds=STOP_SECONDS_MAX)
        files.remove()
    finally:
        lock.release()


def _read_state(files: Files) -> _State | None:
    try:
        return msgspec.json.decode(files.state.read_bytes(), type=_State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _attachable(files: Files) -> _State | None:
    try:
        state = _read_state(files)
        ready = (
            state is not None
            and state.owner_pid == files.owner_pid()
            and server.answers(state.port)
        )
    except PermissionError as error:
        raise HomeInUseError(files.home, None, "and it belongs to another user") from error
    return state if ready else None
