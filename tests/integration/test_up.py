import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

import mintage
from databases import Database, temporary_home

GENERATION_SECONDS_MAX = 90


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


def paste(line: str) -> dict[str, object]:
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, timeout=GENERATION_SECONDS_MAX, check=True
    )
    document: dict[str, object] = json.loads(done.stdout)
    return document


def get(up: mintage.Up, path: str, role: str = "user") -> httpx2.Response:
    headers = {"Authorization": f"Bearer {up.document['keys'][role]}"}
    return httpx2.get(f"{up.url}{path}", headers=headers, trust_env=False)


def answers(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=1).close()
    except OSError:
        return False
    return True


def test_up_serves_and_the_printed_line_draws_a_picture_and_ctrl_c_leaves_nothing(
    home: Path,
) -> None:
    with mintage.up(home) as up:
        generation = paste(up.document["curl"])
        assert generation["status"] == "succeeded"
        assert get(up, "/v1/balance").json()["settled"] == 95
        assert get(up, "/v1/me", "admin").json()["role"] == "admin"
        assert len(up.pids) >= 5  # the parent, the server and three roles

        up.send(signal.SIGINT)

        assert up.wait() == 0, up.log()
        mintage.until(lambda: not up.left, what="the end of every process")
        assert not answers(up.url)
        assert "stopped" in up.log()


def test_up_prints_what_it_starts_and_what_to_do_next(home: Path) -> None:
    with (home / "out").open("w") as out:
        process = subprocess.Popen(
            [*mintage.COMMAND, "up"],
            env=mintage.environment(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        mintage.until(
            lambda: "Ctrl-C stops it" in (home / "out").read_text(),
            what="the end of the start",
            seconds=mintage.UP_SECONDS_MAX,
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=mintage.STOP_SECONDS_MAX) == 0
    finally:
        process.kill()
        process.wait()
    text = (home / "out").read_text()
    started = ["PostgreSQL", "tables", "seed", "projector", "worker", "api"]
    places = [text.index(f"\n  {name} ") if name != "PostgreSQL" else 0 for name in started]
    assert places == sorted(places)
    assert str(home) in text
    assert "\ncurl -sS http://127.0.0.1:" in text


def test_a_second_up_says_who_has_the_folder_and_where_it_answers(home: Path) -> None:
    with mintage.up(home) as up:
        second = mintage.run("up", home=home)
        assert second.returncode == 1
        assert f"process {up.process.pid}" in second.stderr
        assert up.url in second.stderr
        assert get(up, "/v1/balance").status_code == 200

        reset = mintage.run("reset", "--yes", home=home)
        assert reset.returncode == 1
        assert f"process {up.process.pid}" in reset.stderr
        assert get(up, "/v1/balance").json()["settled"] == 100


def test_a_killed_parent_leaves_no_orphans_and_the_next_up_goes_on_from_there(home: Path) -> None:
    with mintage.up(home) as up:
        paste(up.document["curl"])
        keys = up.document["keys"]
        up.send(signal.SIGKILL)
        up.wait()
        mintage.until(lambda: not up.left, what="the end of every process")

    with mintage.up(home) as up:
        assert up.document["keys"] == keys
        assert get(up, "/v1/balance").json()["settled"] == 95
        assert paste(up.document["curl"])["status"] == "succeeded"


def test_a_generation_that_the_killed_worker_held_is_done_at_once_by_the_next(home: Path) -> None:
    with mintage.up(home, MOCK_DELAY_MS="30000") as up:
        headers = {"Authorization": f"Bearer {up.document['keys']['user']}"}
        asked = httpx2.post(
            f"{up.url}/v1/generations",
            headers=headers,
            json={"prompt_id": "dreamy-forest"},
            trust_env=False,
        ).json()
        path = asked["urls"]["self"]
        mintage.until(
            lambda: get(up, path).json()["step"] == "generating", what="the provider's call"
        )
        up.send(signal.SIGKILL)
        up.wait()
        mintage.until(lambda: not up.left, what="the end of every process")

    with mintage.up(home) as up:
        # Not once its lease has run out, which takes three minutes.
        mintage.until(lambda: get(up, path).json()["status"] == "succeeded", what="the picture")


def test_a_role_that_dies_is_started_again(home: Path) -> None:
    with mintage.up(home) as up:
        worker = next(
            pid
            for pid in up.pids
            if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        )
        subprocess.run(["kill", "-9", str(worker)], check=True)
        mintage.until(lambda: "mintage worker was ended by SIGKILL" in up.log(), what="the notice")
        assert paste(up.document["curl"])["status"] == "succeeded"


def test_several_api_processes_share_one_port_and_die_together(home: Path) -> None:
    with mintage.up(home, WORKERS="2") as up:
        api = next(
            pid
            for pid in up.pids
            if b"api" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        )
        serving = mintage.descendants(api)
        assert len(serving) >= 2
        assert get(up, "/v1/balance").status_code == 200
        assert b"mintage_http_requests_total" in get(up, "/metrics").content
        subprocess.run(["kill", "-9", str(api)], check=True)
        mintage.until(
            lambda: not any(mintage.alive(pid) for pid in serving), what="the end of its processes"
        )
        mintage.until(lambda: get_status(up) == 200, what="the next API")


def get_status(up: mintage.Up) -> int:
    try:
        return get(up, "/v1/balance").status_code
    except httpx2.HTTPError:
        return 0


def test_a_taken_port_is_named_before_anything_is_started(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = mintage.run("up", home=home, PORT=str(port))
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "postgres").exists()


def test_up_on_a_database_of_ones_own_starts_no_server(home: Path, database: Database) -> None:
    urls = {"DATABASE_URL": database.url, "MIGRATION_DATABASE_URL": database.owner_url}
    with mintage.up(home, **urls) as up:
        assert up.document["database"] is None
        assert not (home / "postgres").exists()
        assert paste(up.document["curl"])["status"] == "succeeded"
        up.send(signal.SIGTERM)
        assert up.wait() == 0


def test_reset_empties_and_seeds_and_keeps_the_demo_keys(home: Path) -> None:
    with mintage.up(home) as up:
        keys = up.document["keys"]
        paste(up.document["curl"])
        up.send(signal.SIGTERM)
        up.wait()
    pictures = home / "storage" / "objects"
    assert any(path.is_file() for path in pictures.rglob("*"))

    assert mintage.run("reset", home=home).returncode == 2
    assert mintage.run("reset", "--yes", home=home, MINTAGE_ENV="production").returncode != 0
    assert any(path.is_file() for path in pictures.rglob("*"))
    emptied = mintage.run_json("reset", "--yes", home=home)

    assert emptied["deleted_objects"] >= 2
    assert not any(path.is_file() for path in pictures.rglob("*"))
    with mintage.up(home) as up:
        assert up.document["keys"] == keys
        assert get(up, "/v1/balance").json()["settled"] == 100
        assert get(up, "/v1/images").json()["items"] == []
