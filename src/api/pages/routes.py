"""The pages' routes: those for everybody, and those for who is logged in."""

from litestar import Router
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from api.pages import assets, generate, login
from api.pages.viewer import find_viewer, signed_in


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
            route_handlers=[generate.show],
            guards=[signed_in],
            dependencies={"viewer": Provide(find_viewer)},
        ),
    ]
