"""What every refusal of the API has in common."""

from typing import Any

import httpx


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert that the answer is that problem, whole; returns it."""
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert set(problem) >= {"type", "title", "status", "detail", "code", "instance"}
    assert problem["instance"] == answer.request.url.path
    return dict(problem)


def fields(problem: dict[str, Any]) -> list[str]:
    """The fields that an `INVALID_INPUT` names."""
    assert all(error["message"] for error in problem["errors"])
    return [error["field"] for error in problem["errors"]]
