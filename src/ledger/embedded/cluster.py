"""One PostgreSQL cluster: made by initdb, then started on a free port."""

import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from ledger.embedded import roles, server
from ledger.embedded.errors import EmbeddedPostgresError, ServerStartError
from ledger.embedded.files import Files
from ledger.embedded.paths import User, flush_folder

INITDB_SECONDS_MAX = 60.0
PORT_TRIES_MAX = 5
NAMELESS = "could not look up effective user ID"


class Cluster:
    """The data directory of `files`, with the programs and the user that serve it."""

    def __init__(self, files: Files, binaries: Path, user: User | None) -> None:
        self._files = files
        self._binaries = binaries
        self._user = user

    def make(self, superuser_password: str) -> None:
        """Make the data directory, whole or not at all."""
        files, user = self._files, self._user
        partial = files.folder / "data.partial"
        secret = files.folder / "initdb.password"
        shutil.rmtree(partial, ignore_errors=True)
        secret.unlink(missing_ok=True)
        try:
            partial.mkdir(mode=0o700)
            secret.touch(mode=0o600, exist_ok=False)
            secret.write_text(superuser_password)
            if user is not None:
                os.chown(partial, user.uid, user.gid)
                os.chown(secret, user.uid, user.gid)
            server.run(
                [
                    *(str(self._binaries / "initdb"), "-D", str(partial)),
                    *("-U", roles.SUPERUSER, f"--pwfile={secret}", "-A", "scram-sha-256"),
                    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                    *("-E", "UTF8", "--no-instructions"),
                ],
                user=user,
                log=files.log,
                seconds=INITDB_SECONDS_MAX,
            )
        except EmbeddedPostgresError as error:
            if NAMELESS not in str(error):
                raise
            uid = user.uid if user else os.geteuid()
            raise EmbeddedPostgresError(
                f"PostgreSQL needs a user that has a name, but uid {uid} has none: "
                "give it a line in /etc/passwd, or set DATABASE_URL to a PostgreSQL"
            ) from error
        finally:
            secret.unlink(missing_ok=True)
        partial.rename(files.data)
        flush_folder(files.folder)

    def start(
        self, settings: Mapping[str, str], *, deadline: float, port: int
    ) -> tuple[server.Child, int]:
        """Start the server, on `port` if that is free, and wait until it takes connections.

        Raises `ServerStartError` if it ends, or is not ready when the monotonic clock reaches
        `deadline`.
        """
        log = self._files.log
        offset = server.log_size(log)
        for _ in range(PORT_TRIES_MAX):
            # Another program may take the port before the server does; then another is tried.
            port = server.free_port(port)
            child = server.start(
                self._binaries,
                self._files.data,
                {**settings, "port": str(port)},
                user=self._user,
                log=log,
            )
            if self._await(child, deadline):
                return child, port
            ended = not child.running
            server.stop(child, seconds=1)
            tail = server.log_tail(log, offset)
            if ended and "could not create any TCP/IP sockets" in tail:
                port = 0
                continue
            what = "ended while it started" if ended else "was not ready in time"
            raise ServerStartError(f"PostgreSQL {what}; {log} says:\n{tail}")
        raise ServerStartError(f"no free port on 127.0.0.1 after {PORT_TRIES_MAX} tries")

    def _await(self, child: server.Child, deadline: float) -> bool:
        try:
            while child.running and time.monotonic() < deadline:
                if server.is_ready(self._files.data, child.pid):
                    return True
                time.sleep(server.POLL_SECONDS)
        except BaseException:
            child.send(signal.SIGQUIT)
            raise
        return False
