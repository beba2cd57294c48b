"""The least that serves HTTP as we do: one handler of Litestar's, behind uvicorn."""

from litestar import Litestar, get

PATH = "/bare"


@get(PATH, sync_to_thread=False)
def bare() -> dict[str, bool]:
    """Answer."""
    return {"ok": True}


app = Litestar([bare], openapi_config=None, logging_config=None)
