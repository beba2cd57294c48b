"""Thousands of connections at once, and a call that costs the same whatever their number.

The client's own pool walks over all of its connections at the beginning and the end of each call.
"""

from collections.abc import AsyncIterator

import httpx2

IDLE_MAX = 100
"""Connections kept for later calls."""

_ONE = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=5)


class OneEach(httpx2.AsyncBaseTransport):
    """Each call has a pool of one connection to itself, which the next one takes over."""

    def __init__(self) -> None:
        self._context = httpx2.create_ssl_context()  # takes a while to make, and serves them all
        self._idle: list[httpx2.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it over the connection that was used last, or a new one."""
        transport = (
            self._idle.pop()
            if self._idle
            else httpx2.AsyncHTTPTransport(verify=self._context, limits=_ONE)
        )
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            await transport.aclose()
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Handed(response.stream, transport, self)
        return response

    async def take_back(self, transport: httpx2.AsyncHTTPTransport) -> None:
        """Keep it for the next call, or close it where enough are kept."""
        if len(self._idle) < IDLE_MAX:
            self._idle.append(transport)
        else:
            await transport.aclose()

    async def aclose(self) -> None:
        """Close what is idle; calls that are under way close theirs."""
        while self._idle:
            await self._idle.pop().aclose()


class _Handed(httpx2.AsyncByteStream):
    """A body; its connection goes back at the end."""

    def __init__(
        self,
        inner: httpx2.AsyncByteStream,
        transport: httpx2.AsyncHTTPTransport,
        owner: OneEach,
    ) -> None:
        self._inner = inner
        self._transport: httpx2.AsyncHTTPTransport | None = transport
        self._owner = owner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    async def aclose(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            try:
                await self._inner.aclose()
            except BaseException:
                await transport.aclose()
                raise
            await self._owner.take_back(transport)
