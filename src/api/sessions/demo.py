"""Entering the demo's account without a password: in a demo, and nowhere else."""

from api.problems.refusals import ForbiddenError
from api.services import Services
from api.sessions.store import NewSession, begin
from api.texts.i18n import msg


async def begin_demo(services: Services) -> NewSession:
    """A session of the demo's account. Raises `ForbiddenError` where this is no demo."""
    settings = services.settings
    if settings.mintage_env != "demo":
        raise ForbiddenError(msg("There is no demo account here."))
    return await services.threads.query(begin, settings.demo_user_id)
