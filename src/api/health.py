"""Whether this process lives, and whether it can serve."""

from litestar import get


@get("/health/live", sync_to_thread=False)
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}
