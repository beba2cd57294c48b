"""The whole service as real processes over a test's own database: API, worker, projector."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg

import databases
from api.launch.preparing import run_seed
from api.settings import Settings
from s3_server import free_ports

ADMIN_KEY = "test-admin-key-0123456789"
READY_SECONDS_MAX = 60.0
WAIT_SECONDS_MAX = (
    60.0  # what is waited for comes in a second or two; a busy machine takes its time
)
STOP_SECONDS_MAX = 60.0
SUPPORT = Path(__file__).parent


def wait_until(
    condition: Any, *, seconds: float = WAIT_SECONDS_MAX, what: str = "condition"
) -> Any:
    """Poll until `condition()` is true, and return what it returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true within {seconds} s")


class Stack:
    """Starts roles and ends them by pid; `client()` speaks to the APIs."""

    def __init__(
        self, database: databases.Database, home: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self.database = database
        self.home = home
        self.urls: list[str] = []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join([str(SUPPORT.parents[1] / "src"), str(SUPPORT)]),
            "DATABASE_URL": database.url,
            "MIGRATION_DATABASE_URL": database.owner_url,
            "MINTAGE_HOME": str(home),
            "MINTAGE_ADMIN_KEY": ADMIN_KEY,
            "MOCK_DELAY_MS": "0",
            "RATE_LIMIT_GENERATIONS_PER_MINUTE": "0",
            "LOG_FORMAT": "json",
            **(settings or {}),
        }

    def __enter__(self) -> Self:
        # As `mintage seed` does, without a second for a process to import what we have here.
        run_seed(Settings.from_environ(self.environment))
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self.kill(name)

    def run(self, *arguments: str) -> str:
        """A command of the CLI that ends by itself; returns what it wrote to stdout."""
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", *arguments],
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, command: Sequence[str], **settings: str) -> None:
        """Start a role, or any Python module or file, under `name`."""
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *command],
                env=self.environment | settings,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def start_api(
        self, count: int = 1, *, script: Sequence[str] = ("-m", "api.cli", "api")
    ) -> None:
        """Start API processes and wait until each is ready."""
        for port in free_ports(count):
            self.urls.append(self.start_api_at(port, script=script))

    def start_api_at(self, port: int, *, script: Sequence[str] = ("-m", "api.cli", "api")) -> str:
        """Start one on that port; returns its address once it is ready."""
        name = f"api-{port}"
        self.start(name, script, PORT=str(port))
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), seconds=READY_SECONDS_MAX, what=name)
        return url

    def start_worker(self, *, script: Sequence[str] = ("-m", "api.cli", "worker")) -> str:
        """Start a worker; returns its name for `kill` and `ended`."""
        name = f"worker-{len(self._processes)}"
        self.start(name, script)
        return name

    def start_projector(self) -> None:
        """Start the projector."""
        self.start("projector", ("-m", "api.cli", "projector"))

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """End a process by its pid; returns its exit code."""
        process = self._processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        return process.wait(timeout=STOP_SECONDS_MAX)

    def kill_apis(self) -> None:
        """End every API process."""
        for name in [name for name in self._processes if name.startswith("api-")]:
            self.kill(name)
        self.urls.clear()

    def kill_workers(self, number: int = signal.SIGKILL) -> None:
        """End every worker process."""
        for name in [name for name in self._processes if name.startswith("worker-")]:
            self.kill(name, number)

    def ended(self, name: str) -> bool:
        """Whether the process has ended by itself."""
        return self._processes[name].poll() is not None

    def log(self, name: str) -> str:
        """What the process has written."""
        return (self.home / f"{name}.log").read_text()

    @contextlib.contextmanager
    def client(self, key: str = ADMIN_KEY, api: int = 0) -> Iterator[httpx.Client]:
        """A client of one API process, with a key."""
        headers = {"Authorization": f"Bearer {key}", "Accept-Language": "en"}
        with httpx.Client(base_url=self.urls[api], headers=headers, timeout=60) as client:
            yield client

    def open_account(self, account_id: str, *, tokens: int, is_member: bool = True) -> str:
        """Open an account; returns a key for it."""
        with self.client() as admin:
            answer = admin.post(
                "/v1/accounts",
                json={
                    "id": account_id,
                    "email": f"{account_id}@example.com",
                    "tokens": tokens,
                    "is_member": is_member,
                },
            )
            assert answer.status_code == 201, answer.text
            answer = admin.post(
                f"/v1/accounts/{account_id}/keys", json={"role": "user", "name": "test"}
            )
            assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])

    def add_prompt(self, content: str, *, token_cost: int = 5) -> str:
        """Add a prompt whose text is `content`; returns its id."""
        with self.client() as admin:
            answer = admin.post(
                "/v1/prompts",
                json={"title": "题材", "content": content, "token_cost": token_cost},
            )
            assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def ended(
    client: httpx.Client, generation_id: str, *, seconds: float = WAIT_SECONDS_MAX
) -> dict[str, Any]:
    """Wait until the generation has ended, and return it."""

    def look() -> dict[str, Any] | None:
        answer = client.get(f"/v1/generations/{generation_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found if found["ended_at"] else None

    result: dict[str, Any] = wait_until(look, seconds=seconds, what=f"end of {generation_id}")
    return result


def story(database: databases.Database, generation_id: str) -> list[str]:
    """The topics of the log's facts about one generation, in order."""
    with psycopg.connect(database.url) as connection:
        rows = connection.execute(
            "SELECT split_part(topic, ':', 1) FROM ledger_events "
            "WHERE data->>'generation_id' = %s ORDER BY position",
            (generation_id,),
        )
        return [row[0] for row in rows]
