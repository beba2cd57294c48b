"""The page where pictures are asked for."""

from typing import Any, get_args

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from api.http.schemas import AspectRatio
from api.pages.rendering import page
from api.pages.viewer import Viewer
from api.prompts.shown import Asked
from api.prompts.store import PromptPage
from api.services import Services
from ledger.decide import COUNT_MAX

PROMPTS_MAX = 200
MEGABYTE = 1024 * 1024


@get("/generate", include_in_schema=False)
async def show(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    viewer: NamedDependency[Viewer],
) -> Template:
    """The catalogue is there without script; asking needs it."""
    shown = await services.prompts.get(Asked(PromptPage(None, None, None, PROMPTS_MAX), None))
    return page(
        request,
        services,
        "generate.html",
        viewer,
        prompts=shown.rows,
        counts=range(1, COUNT_MAX + 1),
        ratios=get_args(AspectRatio),
        bytes_max=services.settings.reference_max_bytes,
        megabytes_max=f"{services.settings.reference_max_bytes / MEGABYTE:.3g}",
    )
