"""A query parameter that a route does not have, or has twice, is refused: it may be a filter."""

from typing import Any

import pytest
from litestar.handlers import HTTPRouteHandler

from api.http.parameters import NAMED_MAX
from api_client import Api
from problems import fields, refused

ROUTES = [
    "/v1/balance",
    "/v1/transactions",
    "/v1/generations",
    "/v1/images",
    "/v1/prompts",
    "/v1/accounts/{account}/keys",
    "/v1/audit/events",
    "/v1/audit/reads",
    "/v1/audit/accounts",
    "/v1/audit/accounts/{account}",
    "/v1/audit/accounts/{account}/balance",
    "/v1/audit/accounts/{account}/timeline",
    "/v1/audit/accounts/{account}/explanation",
    "/v1/audit/generations/00000000-0000-7000-8000-000000000000",
]


@pytest.fixture(scope="module")
def account(api: Api) -> str:
    return api.account()


@pytest.mark.parametrize("route", ROUTES)
def test_a_parameter_that_a_route_does_not_have_is_refused(
    api: Api, account: str, route: str
) -> None:
    client = api.client(api.key(account, "admin"))
    url = route.format(account=account)
    answer = client.get(url, params={"acount": "x", "Limit": "1"})
    problem = refused(answer, 422, "INVALID_INPUT")
    assert fields(problem) == ["Limit", "acount"]
    assert problem["errors"][0]["message"] == "There is no such parameter."


def test_every_route_of_v1_is_guarded(api: Api) -> None:
    admin = api.admin()
    urls = {
        (method, route.path_format)
        for route in api.app.routes
        if route.path_format.startswith("/v1/")
        for handler in route.route_handlers  # type: ignore[union-attr]
        if isinstance(handler, HTTPRouteHandler)
        for method in handler.http_methods - {"OPTIONS"}
    }
    assert len(urls) > 30
    for method, url in urls:
        path = url.replace("{account_id}", "nobody").replace("{prompt_id}", "nothing")
        for name in ("generation_id", "image_id", "key_id"):
            path = path.replace(f"{{{name}}}", "00000000-0000-7000-8000-000000000000")
        answer = admin.request(method, path, params={"no_such": "1"})
        assert fields(refused(answer, 422, "INVALID_INPUT")) == ["no_such"], (method, url)


@pytest.mark.parametrize(
    ("route", "query", "field"),
    [
        ("/v1/transactions", "limit=1&limit=2", "limit"),
        ("/v1/audit/events", "account={account}&account=other", "account"),
        ("/v1/audit/events", "from=2026-01-01T00:00:00Z&from=2026-01-01T00:00:00Z", "from"),
        ("/v1/audit/reads", "reader=cli&reader=", "reader"),
        ("/v1/audit/accounts/{account}/balance", "position=1&position=1", "position"),
    ],
)
def test_a_parameter_that_is_given_twice_is_refused(
    api: Api, account: str, route: str, query: str, field: str
) -> None:
    client = api.client(api.key(account, "support"))
    answer = client.get(f"{route}?{query}".format(account=account))
    problem = refused(answer, 422, "INVALID_INPUT")
    assert fields(problem) == [field]
    assert problem["errors"][0]["message"] == "Is given more than once."


def test_whoever_may_not_ask_is_told_that_first_and_an_answer_names_a_few(api: Api) -> None:
    refused(api.client().get("/v1/audit/events?acount=x"), 401, "UNAUTHENTICATED")
    refused(api.user().get("/v1/audit/events?acount=x"), 403, "FORBIDDEN")
    many: dict[str, Any] = {f"p{n}": "x" for n in range(1_000)}
    problem = refused(api.user().get("/v1/balance", params=many), 422, "INVALID_INPUT")
    assert len(fields(problem)) == NAMED_MAX


def test_the_document_tells_of_it(api: Api) -> None:
    document = api.client().get("/schema/openapi.json").json()
    assert "query parameter" in document["info"]["description"]
    assert "422" in document["paths"]["/v1/balance"]["get"]["responses"]
