"""An answer that is whole leaves at once where it may, and is no other than ASGI's."""

import gc
import http.client
import socket
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.http.answering import Answering
from api.http.bounded_http import WHOLE, send_whole
from api_client import Api
from bare_server import connected_to
from ledger_running import wait_until

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n%s\r\n"
LARGE = 64 * 1024 * 1024


class Server:
    """Answers a path with as many bytes as it names, and remembers which were sent whole."""

    def __init__(self) -> None:
        self.whole: list[bool] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        length = int(scope["path"][1:])
        self.whole.append(scope["extensions"][WHOLE](202, b"x-own: yes\r\n", b"a" * length))
        if not self.whole[-1]:
            headers = [(b"x-own", b"yes"), (b"content-length", b"%d" % length)]
            await send({"type": "http.response.start", "status": 202, "headers": headers})
            await send({"type": "http.response.body", "body": b"a" * length})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def client(server: Server) -> Iterator[socket.socket]:
    with connected_to(server) as connected:
        yield connected


def answer(client: socket.socket) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(client)
    response.begin()
    return response


def test_it_is_an_answer_as_any_other(client: socket.socket, server: Server) -> None:
    client.sendall(GET % (b"5", b""))
    first = answer(client)
    assert (first.status, first.reason, first.read()) == (202, "Accepted", b"aaaaa")
    client.sendall(GET % (b"5", b"Connection: close\r\n"))
    second = answer(client)
    assert second.read() == b"aaaaa"
    assert client.recv(1) == b""
    wait_until(lambda: server.whole == [True, False], "both to be told of")
    assert second.headers["connection"] == "close"
    names = [sorted(set(each.headers) - {"connection"}) for each in (first, second)]
    assert names[0] == names[1] == ["content-length", "date", "server", "x-own"]


def test_many_in_a_row_are_answered_in_order(client: socket.socket, server: Server) -> None:
    client.sendall(b"".join(GET % (b"%d" % length, b"") for length in range(50)))
    with client.makefile("rb") as stream:
        for length in range(50):
            head = [stream.readline() for _ in range(6)]
            assert head[0] == b"HTTP/1.1 202 Accepted\r\n"
            assert head[4:] == [b"content-length: %d\r\n" % length, b"\r\n"]
            assert stream.read(length) == b"a" * length
    wait_until(lambda: server.whole == [True] * 50, "all to be told of")


def test_who_waits_to_be_told_to_continue_is_told_first(client: socket.socket) -> None:
    client.sendall(
        b"POST /3 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    with client.makefile("rb") as stream:
        assert [stream.readline() for _ in range(2)] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
        client.sendall(b"ab")
        assert stream.readline() == b"HTTP/1.1 202 Accepted\r\n"


def test_nothing_is_put_before_who_does_not_read(client: socket.socket, server: Server) -> None:
    client.sendall(GET % (b"%d" % LARGE, b"") + GET % (b"4", b""))
    wait_until(lambda: len(server.whole) == 2, "the second to be answered")
    assert server.whole == [True, False]
    with client.makefile("rb") as stream:
        for length in (LARGE, 4):
            while stream.readline() != b"\r\n":
                pass
            assert len(stream.read(length)) == length


def test_a_request_leaves_no_garbage_behind(client: socket.socket, server: Server) -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            client.sendall(GET % (b"5", b""))
            answer(client).read()
        cycles = [each for each in gc.get_objects() if isinstance(each, RequestResponseCycle)]
    finally:
        gc.enable()
    assert len(cycles) <= 2
    assert all(server.whole)


def test_who_has_hung_up_is_sent_nothing() -> None:
    cycle = Mock(response_started=False, keep_alive=True, disconnected=True)
    cycle.flow.write_paused = False
    assert send_whole(lambda: cycle, 200, b"", b"{}")
    cycle.transport.write_whole.assert_not_called()
    cycle.on_response.assert_not_called()


def test_what_has_headers_of_another_kind_goes_the_long_way() -> None:
    whole, send = Mock(return_value=True), Mock()
    scope: Any = {"type": "http", "path": "/v1/images", "extensions": {WHOLE: whole}}
    answering = Answering(scope, send, "one")
    assert not answering.send_json(200, {"Cache-Control": "max-age=1"}, b"{}")
    assert answering.status == 500
    whole.assert_not_called()
    assert answering.send_json(202, {"Location": "/v1/generations/1"}, b"{}")
    (status, head, body) = whole.call_args.args
    assert (status, body, answering.status) == (202, b"{}", 202)
    assert head.startswith(b"location: /v1/generations/1\r\n")
    send.assert_not_called()


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/images", "/v1/prompts"])
def test_the_same_headers_stand_in_it(api: Api, path: str) -> None:
    user = api.user()
    first = user.get(path, headers={"X-Request-ID": "one"})
    second = user.get(path, headers={"X-Request-ID": "one", "Connection": "close"})
    assert second.headers.pop("connection") == "close"
    for each in (first, second):
        each.headers.pop("date")
    assert dict(first.headers) == dict(second.headers)
    assert first.json() == second.json()
