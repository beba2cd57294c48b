"""Every route below /v1, with the least role that it asks for; a handler may ask for a higher one.

A path has one router: Litestar takes no second one for it.
"""

from litestar import Router
from litestar.types import ControllerRouterHandler

from api import (
    accounts,
    balances,
    changes,
    files,
    generation_events,
    generations,
    health,
    images,
    keys,
    metrics,
    prompts,
    transactions,
)
from api.auth import requires
from api.bodies import BODY_BYTES_MAX


def route_handlers(reference_max_bytes: int) -> list[ControllerRouterHandler]:
    """All of them."""
    return [
        health.live,
        health.ready,
        metrics.metrics,
        files.open_link,
        Router(
            "/v1/generations",
            route_handlers=[
                generations.create,
                generations.quote,
                generations.list_mine,
                generations.get_one,
                generations.cancel,
                generations.reference,
                generation_events.events,
                changes.refund,
            ],
            guards=[requires("user")],
            tags=["generations"],
            # base64 is a third longer, a little more where its lines are wrapped.
            request_max_body_size=reference_max_bytes * 3 // 2 + BODY_BYTES_MAX,
        ),
        Router(
            "/v1/images",
            route_handlers=[
                images.list_mine,
                images.get_one,
                images.mark,
                images.unmark,
                images.content,
                images.thumbnail,
                images.download,
            ],
            guards=[requires("user")],
            tags=["images"],
        ),
        Router(
            "/v1/prompts",
            route_handlers=[prompts.list_all, prompts.create, prompts.change, prompts.hide],
            guards=[requires("user")],
            tags=["prompts"],
        ),
        Router(
            "/v1",
            route_handlers=[balances.balance, balances.me, transactions.list_mine],
            guards=[requires("user")],
            tags=["account"],
        ),
        Router(
            "/v1/accounts",
            route_handlers=[
                accounts.create,
                accounts.change,
                changes.grant,
                changes.revoke,
                keys.create,
                keys.list_keys,
                keys.revoke,
            ],
            guards=[requires("support")],
            tags=["administration"],
        ),
    ]
