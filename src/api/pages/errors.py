"""What a browser sees when something is not as it should be: a page, or the way to log in."""

from typing import Any, cast
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.response import Redirect

from api.pages.language import chosen_locale
from api.pages.places import here
from api.pages.rendering import page
from api.pages.viewer import LoginRequiredError
from api.problems import errors
from api.problems.problem import CODES
from api.services import Services


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Litestar's handler for every exception: pages for people, problem documents for programs."""
    if isinstance(error, LoginRequiredError):
        return Redirect(f"/login?{urlencode({'next': here(request)})}", status_code=303)
    if not _wants_page(request):
        return errors.answer(request, error)
    problem = errors.told(error)
    locale = chosen_locale(request)
    shown = page(
        request,
        cast("Services", request.app.state.services),
        "error.html",
        None,
        status=problem.http_status,
        title=CODES[problem.code].title.text(locale),
        detail=problem.detail.text(locale),
        may_retry=problem.code in {"UNAVAILABLE", "RATE_LIMITED", "UNKNOWN"},
    )
    shown.headers.update(problem.headers)
    return cast("Response[Any]", shown)


def _wants_page(request: Request[Any, Any, Any]) -> bool:
    accepts = request.headers.get("Accept", "")
    return "text/html" in accepts and not request.url.path.startswith("/v1/")
