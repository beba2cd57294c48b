"""Heavy packages are imported by the role that needs them, and by no other."""

import pytest

from api.bench.importing import ROLES, imported

EVERY_ROLE = {"psycopg", "eventsourcing", "rich"}  # rich: structlog takes it where it is there
NEEDED = {
    "api": {"PIL", "jinja2", "litestar", "uvicorn", *EVERY_ROLE},
    "worker, mock": {"PIL", *EVERY_ROLE},
    "worker, Gemini": {"PIL", "google.genai", "httpx2", "pydantic", *EVERY_ROLE},
    "projector": EVERY_ROLE,
    "up, before its server": set(),
    "up, afterwards": {"psycopg", "rich"},
    "mintage alone": set(),
    "python alone": set(),
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_imports_what_it_needs_and_nothing_heavy_beside_it(role: str) -> None:
    _, found = imported(role)
    assert {*found.heavy} <= NEEDED[role]
