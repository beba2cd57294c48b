"""What ours is measured beside: the least that the same server can do.

*bare* is a Litestar handler that decodes the same body and answers as much; *echo* has no framework
and shows what server and load generator can do at most.
"""

from typing import Any, cast

import msgspec
from litestar import Litestar, get, post
from litestar.enums import ScopeType
from litestar.params import JSONBody
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from api.bench import work
from api.bench.http.documents import BALANCE, IMAGES, PROMPTS, accepted, image_of
from api.generations.asked import GenerationBody
from api.http.cursors import Page
from api.http.schemas import Balance, Generation, Image
from api.launch.serving import prepared
from api.prompts.handlers import Prompt
from ledger.identity import new_id

_ID = new_id()
_IMAGES = Page([image_of(work.image(_ID), _ID) for _ in range(IMAGES)], "a" * 60)


def bare() -> Litestar:
    """For uvicorn: nothing but framework, decoding and encoding."""
    return prepared(_build)


def echo() -> ASGIApp:
    """For uvicorn: no framework either. One answer, encoded beforehand."""
    return prepared(lambda: _echo)


def _build() -> Litestar:
    handlers = [_create, _balance, _list_prompts, _images]
    return Litestar(handlers, openapi_config=None, logging_config=None)


_NUMBERS: dict[str, Any] = {"title": "梦幻森林", "cost": 5, "available": BALANCE.available}
_BODY = GenerationBody(prompt_id="dreamy-forest")
_ANSWER = msgspec.json.encode(accepted(_BODY, _ID, BALANCE.account_id, **_NUMBERS))


@post("/v1/generations", status_code=202)
async def _create(data: JSONBody[GenerationBody]) -> Generation:
    return accepted(data, _ID, BALANCE.account_id, **_NUMBERS)


@get("/v1/balance")
async def _balance() -> Balance:
    return BALANCE


@get("/v1/prompts")
async def _list_prompts() -> Page[Prompt]:
    return PROMPTS


@get("/v1/images")
async def _images() -> Page[Image]:
    return _IMAGES


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != ScopeType.HTTP:
        return
    while cast("HTTPReceiveMessage", await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ANSWER))]
    status = 202 if scope["path"] == "/v1/generations" else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER, "more_body": False})
