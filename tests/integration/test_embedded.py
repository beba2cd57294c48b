import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from databases import temporary_home
from ledger.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    HomeInUseError,
    ServerStartError,
    server,
)
from ledger.embedded import remove as remove_server
from ledger.embedded.paths import User
from ledger.embedded.postgres import STOP_SECONDS_MAX

OWNER = """
import json, os, signal, sys, threading
from pathlib import Path
from ledger.embedded import EmbeddedPostgres
postgres = EmbeddedPostgres.start(Path(sys.argv[1]))
print(json.dumps({"owner": postgres.owner, "url": postgres.database_url,
                  "server_pid": postgres.server_pid, "pid": os.getpid()}), flush=True)
sys.stdin.read()
postgres.stop()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


class Owner:
    """Another process that starts, or attaches to, the server of a home."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> dict[str, object]:
        assert self.process.stdout is not None
        answer = json.loads(self.process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def end(self) -> None:
        self.process.communicate("", timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time given"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cwd").is_dir()


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0]


def test_cold_then_warm_start_keep_the_data(home: Path) -> None:
    with EmbeddedPostgres.start(home) as postgres:
        assert postgres.owner
        assert postgres.running
        assert ask(postgres.database_url, "SELECT current_user") == "mintage_app"
        assert ask(postgres.migration_database_url, "SELECT current_user") == "mintage_owner"
        with psycopg.connect(postgres.migration_database_url) as connection:
            connection.execute("CREATE TABLE kept (id int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        first_pid = postgres.server_pid
    assert not alive(first_pid)
    with EmbeddedPostgres.start(home) as postgres:
        assert ask(postgres.migration_database_url, "SELECT id FROM kept") == 7
        assert ask(postgres.database_url, "SHOW fsync") == "on"
        assert ask(postgres.database_url, "SHOW synchronous_commit") == "on"


def test_roles_have_no_more_rights_than_they_need(home: Path) -> None:
    with EmbeddedPostgres.start(home) as postgres:
        rights = "SELECT bool_or(rolsuper OR rolcreatedb OR rolcreaterole) FROM pg_roles"
        ours = f"{rights} WHERE rolname LIKE 'mintage%'"
        assert ask(postgres.database_url, ours) is False
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(postgres.database_url, "CREATE TABLE mine (id int)")
        wrong = postgres.database_url.replace(":", "x:", 2).replace("postgresqlx", "postgresql")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            ask(wrong, "SELECT 1")
        log = postgres.log.read_text()
        password = postgres.database_url.split(":")[2].split("@")[0]
        assert password not in log
    secrets = [path for path in (home / "postgres").rglob("*.json") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}


@pytest.mark.parametrize("name", ["with a space", "it's", "a" * 200, "演示"])
def test_unusual_paths_work(home: Path, name: str) -> None:
    with EmbeddedPostgres.start(home / name) as postgres:
        assert ask(postgres.database_url, "SELECT 1") == 1
    remove_server(home / name)


def test_a_path_too_long_is_refused_with_a_way_out(home: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="MINTAGE_HOME to a shorter"):
        EmbeddedPostgres.start(home / ("a" * 200 + "/") / ("b" * 200) / ("c" * 250) / ("d" * 250))
    assert list(home.iterdir()) == []


def test_a_second_process_attaches_and_leaves_the_server_running(home: Path) -> None:
    with EmbeddedPostgres.start(home) as postgres:
        other = Owner(home)
        answer = other.read()
        assert answer["owner"] is False
        assert answer["url"] == postgres.database_url
        assert answer["server_pid"] == postgres.server_pid
        other.end()
        assert postgres.running
        assert ask(postgres.database_url, "SELECT 1") == 1


def test_processes_starting_at_once_share_one_server(home: Path) -> None:
    starters = [Owner(home) for _ in range(4)]
    answers = [starter.read() for starter in starters]
    assert sum(bool(answer["owner"]) for answer in answers) == 1
    assert len({answer["server_pid"] for answer in answers}) == 1
    for starter in starters:
        starter.end()


def test_a_killed_owner_takes_its_server_along(home: Path) -> None:
    owner = Owner(home)
    server_pid = int(str(owner.read()["server_pid"]))
    assert alive(server_pid)
    owner.kill()
    until(lambda: not alive(server_pid))
    log = (home / "postgres" / "server.log").read_text()
    assert "database system is shut down" in log


def test_the_next_owner_waits_for_the_server_of_a_killed_one(home: Path) -> None:
    owner = Owner(home)
    answer = owner.read()
    server_pid = int(str(answer["server_pid"]))
    with contextlib.closing(psycopg.connect(str(answer["url"]))) as connection:
        connection.execute("CREATE TEMPORARY TABLE busy (id int)")
        owner.kill()
        # No waiting in between: the new owner meets a server that is still shutting down.
        with EmbeddedPostgres.start(home) as postgres:
            assert postgres.owner
            assert not alive(server_pid)
            assert postgres.server_pid != server_pid
            assert ask(postgres.database_url, "SELECT 1") == 1


def test_a_server_killed_with_its_owner_recovers_from_the_stale_pid_file(home: Path) -> None:
    owner = Owner(home)
    answer = owner.read()
    server_pid = int(str(answer["server_pid"]))
    owner.process.send_signal(signal.SIGSTOP)  # as if the machine had lost its power
    os.kill(server_pid, signal.SIGKILL)
    owner.kill()
    until(lambda: not alive(server_pid))
    pid_file = next(home.rglob("postmaster.pid"))
    # The worst case: the pid is a living process of the server's own user by now.
    stat = pid_file.stat()
    drop = {"user": stat.st_uid, "group": stat.st_gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "60"], **drop) as bystander:  # type: ignore[call-overload]
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        try:
            with EmbeddedPostgres.start(home) as postgres:
                assert ask(postgres.database_url, "SELECT 1") == 1
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_stop_is_clean_and_may_be_repeated(home: Path) -> None:
    postgres = EmbeddedPostgres.start(home)
    with psycopg.connect(postgres.database_url):  # one that hangs on does not hold it up
        begun = time.monotonic()
        postgres.stop()
        assert time.monotonic() - begun < STOP_SECONDS_MAX
    postgres.stop()
    assert not postgres.running
    assert server.processes_in(postgres.data_directory) == []
    assert "database system is shut down" in postgres.log.read_text()
    assert not (postgres.data_directory / "postmaster.pid").exists()


def test_ctrl_c_at_the_terminal_reaches_the_owner_only(home: Path) -> None:
    with EmbeddedPostgres.start(home) as postgres:
        assert os.getsid(postgres.server_pid) != os.getsid(0)


def test_a_thread_may_start_it_and_end(home: Path) -> None:
    code = OWNER.replace(
        "postgres = EmbeddedPostgres.start(Path(sys.argv[1]))",
        "found = []\n"
        "thread = threading.Thread(target=lambda: found.append("
        "EmbeddedPostgres.start(Path(sys.argv[1]))))\n"
        "thread.start(); thread.join(); postgres = found[0]",
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        answer = json.loads(process.stdout.readline())
        assert ask(answer["url"], "SELECT pg_sleep(0.3)") == ""
        assert alive(answer["server_pid"])
        process.communicate("", timeout=60)


def test_the_server_never_runs_as_root(home: Path) -> None:
    with EmbeddedPostgres.start(home) as postgres:
        uid = Path(f"/proc/{postgres.server_pid}").stat().st_uid
        assert uid != 0
        assert postgres.data_directory.stat().st_uid == uid
        assert postgres.data_directory.stat().st_mode & 0o777 == 0o700


def test_a_user_without_a_name_is_told_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.embedded.files.Files.user", lambda _: User(54321, 54321))
    # Only root can become that user; for others the system's own refusal is what there is to see.
    reason = "uid 54321 has none" if os.geteuid() == 0 else "not permitted"
    with pytest.raises(EmbeddedPostgresError, match=reason):
        EmbeddedPostgres.start(home)


def test_a_home_closed_to_the_servers_user_is_kept_elsewhere_and_says_where(tmp_path: Path) -> None:
    # For root, pytest's folders are closed to everyone else, as /root is; for others they serve.
    tmp_path.chmod(0o700)
    try:
        with EmbeddedPostgres.start(tmp_path) as postgres:
            assert ask(postgres.database_url, "SELECT 1") == 1
            assert postgres.relocated is (os.geteuid() == 0)
            first = postgres.data_directory
            if postgres.relocated:
                location = (tmp_path / "postgres" / "location").read_text().strip()
                assert first == Path(location) / "data"
        with EmbeddedPostgres.start(tmp_path) as postgres:
            assert postgres.data_directory == first
    finally:
        remove_server(tmp_path)
    assert not first.exists()


def test_binaries_closed_to_the_servers_user_are_copied(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.embedded.binaries.runnable", lambda *_: False)
    with EmbeddedPostgres.start(home) as postgres:
        program = Path(f"/proc/{postgres.server_pid}/exe").readlink()
        copied = str(program).startswith(str(home / "postgres" / "binaries-"))
        assert copied is (os.geteuid() == 0)
        assert ask(postgres.database_url, "SELECT 'a' COLLATE \"C.utf8\" < 'B'") is False


def test_a_taken_port_is_left_to_its_taker(home: Path) -> None:
    with EmbeddedPostgres.start(home) as postgres:
        first = postgres.port
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.bind(("127.0.0.1", first))
        taker.listen()
        with EmbeddedPostgres.start(home) as postgres:
            assert postgres.port != first
            second = postgres.port
    with EmbeddedPostgres.start(home) as postgres:
        assert postgres.port == second


def test_a_port_taken_in_the_last_moment_is_tried_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port = server.free_port
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", 0))
        taker.listen()
        ports = iter([taker.getsockname()[1]])
        monkeypatch.setattr(
            server,
            "free_port",
            lambda preferred: next(ports, None) or free_port(preferred),
        )
        with EmbeddedPostgres.start(home) as postgres:
            assert ask(postgres.database_url, "SELECT 1") == 1


def test_a_start_that_fails_shows_the_log_and_lets_go(home: Path) -> None:
    with pytest.raises(ServerStartError, match="no_such_setting"):
        EmbeddedPostgres.start(home, settings={"no_such_setting": "1"})
    with EmbeddedPostgres.start(home) as postgres:
        assert postgres.owner


def test_an_owner_without_a_server_is_named(home: Path) -> None:
    with EmbeddedPostgres.start(home) as postgres:
        (home / "postgres" / "server.json").unlink()
        with pytest.raises(HomeInUseError, match=f"process {os.getpid()}") as caught:
            EmbeddedPostgres.start(home, seconds_max=0.3)
        assert caught.value.owner_pid == os.getpid()
        with pytest.raises(HomeInUseError):
            remove_server(home)
        assert postgres.running


def test_lost_passwords_are_told_apart_from_a_new_home(home: Path) -> None:
    with EmbeddedPostgres.start(home):
        pass
    (home / "postgres" / "passwords.json").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"passwords\.json is gone"):
        EmbeddedPostgres.start(home)


def test_removed_it_begins_anew(home: Path) -> None:
    with EmbeddedPostgres.start(home) as postgres:
        system = ask(
            postgres.superuser_url, "SELECT system_identifier::text FROM pg_control_system()"
        )
    remove_server(home)
    with EmbeddedPostgres.start(home) as postgres:
        assert system != ask(
            postgres.superuser_url, "SELECT system_identifier::text FROM pg_control_system()"
        )
