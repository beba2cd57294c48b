"""Whether the API answers, and with what."""

import http.client
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from api.launch.child import Child, ChildEndedError

_POLL_SECONDS = 0.03


class NotReadyError(Exception):
    """The service did not come up, or fell; says what is missing."""


def wait_until_ready(url: str, api: Child, deadline: float) -> None:
    """Return once /health/ready says yes. Raises `ChildEndedError`, `NotReadyError`."""
    missing = "it does not answer"
    while time.monotonic() < deadline:
        if not api.running:
            raise ChildEndedError(f"mintage api {api.ending} before it was ready")
        try:
            status, body = _get(url, "/health/ready")
        except OSError:
            time.sleep(_POLL_SECONDS)
            continue
        if status == HTTPStatus.OK:
            return
        missing = f"/health/ready says {status}: {body[:300]}"
        time.sleep(_POLL_SECONDS)
    raise NotReadyError(f"mintage api was not ready in time: {missing}")


def _get(url: str, path: str) -> tuple[int, str]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(10_000).decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(str(error)) from None
    finally:
        connection.close()
