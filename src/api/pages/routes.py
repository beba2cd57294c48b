"""The pages' routes: those for everybody, and those for who is logged in."""

from litestar import Router
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from api.pages import (
    assets,
    dashboard,
    generate,
    login,
    support,
    support_account,
    support_generation,
    transactions,
)
from api.pages.clock import clock_of
from api.pages.viewer import find_viewer, only, signed_in

_SHOWN_TO = {
    "viewer": Provide(find_viewer),
    "clock": Provide(clock_of, sync_to_thread=False),
}


def page_handlers() -> list[ControllerRouterHandler]:
    """All of them."""
    return [
        assets.serve,
        login.home,
        login.show,
        login.enter_demo,
        login.leave,
        login.choose_language,
        Router(
            "/",
            route_handlers=[
                generate.show,
                dashboard.show,
                dashboard.download,
                transactions.show,
                transactions.download,
            ],
            guards=[signed_in],
            dependencies=_SHOWN_TO,
        ),
        Router(
            "/",
            route_handlers=[support.find, support_account.show, support_generation.show],
            guards=[signed_in, only("support")],
            dependencies=_SHOWN_TO,
        ),
    ]
