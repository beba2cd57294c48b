"""Every route; those below /v1 with the least role that they ask for, a handler may ask for more.

A path has one router: Litestar takes no second one for it. A query parameter that a route does not
have is refused on all of them.
"""

from typing import Any

from litestar import Router
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ControllerRouterHandler

from api import health, metrics
from api.accounts import balance_events, balances, grants, keys, transactions
from api.accounts import handlers as accounts
from api.audit import accounts as audit_accounts
from api.audit import balances as audit_balances
from api.audit import events as audit_events
from api.audit import explanations, reads
from api.audit import generations as audit_generations
from api.credentials import Role
from api.generations import events
from api.generations import handlers as generations
from api.http.auth import Guard, requires
from api.http.bodies import BODY_BYTES_MAX
from api.http.parameters import strict_query
from api.images import archive, files
from api.images import handlers as images
from api.pages.routes import page_handlers
from api.prompts import handlers as prompts
from api.sessions import handlers as sessions


def _entrance(role: Role) -> Guard:
    """Callers of that role, with parameters of the route's own: one guard, since each costs."""
    let_in = requires(role)

    async def guard(
        connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        await let_in(connection, handler)
        await strict_query(connection, handler)

    return guard


def route_handlers(reference_max_bytes: int) -> list[ControllerRouterHandler]:
    """All of them."""
    return [
        health.live,
        health.ready,
        metrics.metrics,
        files.open_link,
        sessions.log_in,
        sessions.log_out,
        *page_handlers(),
        Router(
            "/v1/generations",
            route_handlers=[
                generations.create,
                generations.quote,
                generations.list_mine,
                generations.get_one,
                generations.cancel,
                generations.reference,
                events.events,
                grants.refund,
            ],
            guards=[_entrance("user")],
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
                archive.download_many,
            ],
            guards=[_entrance("user")],
            tags=["images"],
        ),
        Router(
            "/v1/prompts",
            route_handlers=[prompts.list_all, prompts.create, prompts.change, prompts.hide],
            guards=[_entrance("user")],
            tags=["prompts"],
        ),
        Router(
            "/v1",
            route_handlers=[
                balances.balance,
                balance_events.events,
                balances.me,
                transactions.list_mine,
            ],
            guards=[_entrance("user")],
            tags=["account"],
        ),
        Router(
            "/v1/accounts",
            route_handlers=[
                accounts.create,
                accounts.change,
                grants.grant,
                grants.revoke,
                keys.create,
                keys.list_keys,
                keys.revoke,
            ],
            guards=[_entrance("support")],
            tags=["administration"],
        ),
        Router(
            "/v1/audit",
            route_handlers=[
                audit_events.list_events,
                reads.list_reads,
                audit_accounts.find,
                audit_accounts.get_one,
                audit_balances.balance,
                audit_balances.list_timeline,
                explanations.explanation,
                audit_generations.get_one,
            ],
            guards=[_entrance("support")],
            tags=["audit"],
        ),
    ]
