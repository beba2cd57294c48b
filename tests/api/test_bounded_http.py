"""A head without end, or without haste, takes neither memory nor a connection for good."""

import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from api.http import bounded_http
from api.http.bounded_http import HEAD_BYTES_MAX
from bare_server import connected_to

BEGUN = b"POST / HTTP/1.1\r\nHost: x\r\n"


async def echo_length(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    with connected_to(echo_length) as connected:
        yield connected


def is_refused(client: socket.socket, piece: bytes) -> bool:
    """Whether the server ends it while that piece is sent over and over."""
    try:
        for _ in range(64 * HEAD_BYTES_MAX // len(piece)):
            client.sendall(piece)
        client.settimeout(60)
        return client.recv(100).startswith(b"HTTP/1.1 400")
    except ConnectionError:  # hung up on while sending: the answer before it is lost
        return True


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (b"GET /", b"a" * 4096),
        (BEGUN + b"X-Long: ", b"a" * 4096),
        (BEGUN, b"X-Many: a\r\n" * 400),
        (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: ", b"a" * 4096),
    ],
)
def test_a_head_without_end_is_refused(
    connection: socket.socket, begun: bytes, piece: bytes
) -> None:
    connection.sendall(begun)
    assert is_refused(connection, piece)


def test_long_bodies_and_many_requests_on_one_connection_pass(connection: socket.socket) -> None:
    http = HTTPConnection("127.0.0.1")
    http.sock = connection
    for body in [b"a" * (10 * HEAD_BYTES_MAX)] * 3 + [b""] * 100:
        http.request("POST", "/", body, headers={"X-Some": "a" * 4000})
        answer = http.getresponse()
        assert (answer.status, answer.read()) == (200, str(len(body)).encode())
    assert http.sock is connection


@pytest.mark.parametrize("begun", [b"", BEGUN, BEGUN + b"Content-Length: 0\r\n\r\n" + BEGUN])
def test_a_head_that_takes_too_long_is_hung_up(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, begun: bytes
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_SECONDS_MAX", 0.3)
    client: socket.socket = request.getfixturevalue("connection")
    client.sendall(begun)
    began = time.monotonic()
    while client.recv(1000):
        pass
    assert time.monotonic() - began < 10  # and not the 15 s that it has by itself
