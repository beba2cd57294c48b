"""Every refusal has a code of the contract, and every text stands in both catalogues."""

import re
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from eventsourcing import persistence

import api
from api.problems import refusals
from api.problems.errors import problem_of
from api.problems.problem import CODES
from api.texts.i18n import LOCALES, locale_of, msg
from generation.storage import StorageUnavailableError
from ledger import errors
from ledger.errors import LedgerError, Refusal

SOURCE = Path(api.__file__).parent
FACTS: dict[type[Exception], tuple[Any, ...]] = {
    errors.AmountOutOfRangeError: ("amount", 1, 10),
    errors.InsufficientTokensError: (10, 5),
    errors.PriceChangedError: (10,),
    errors.RateLimitedError: (7,),
    errors.BesideConflictError: ("profiles_email_key",),
    refusals.ForbiddenError: (msg("Not allowed"),),
    refusals.ConflictError: (msg("Conflict"),),
    refusals.PictureTooLargeError: (10,),
    refusals.NotReadyError: (["database"],),
    refusals.TooManyLoginsError: (60,),
    refusals.InvalidInputError: (refusals.FieldProblem("x", msg("Is not valid.")),),
}
CONTRACT = {
    "INSUFFICIENT_TOKENS": 402,
    "PROMPT_NOT_FOUND": 404,
    "MEMBERSHIP_REQUIRED": 403,
    "INVALID_INPUT": 422,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "PRICE_CHANGED": 409,
    "UNSUPPORTED_IMAGE": 422,
    "PAYLOAD_TOO_LARGE": 413,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "RATE_LIMITED": 429,
    "UNAVAILABLE": 503,
    "UNKNOWN": 500,
}


def below(root: type[Exception]) -> list[type[Exception]]:
    return [each for kind in root.__subclasses__() for each in (kind, *below(kind))]


@pytest.mark.parametrize("kind", [*below(Refusal), *below(refusals.EdgeError)])
def test_every_refusal_has_a_code_of_its_own(kind: type[Exception]) -> None:
    problem = problem_of(kind(*FACTS.get(kind, ())))
    assert problem.code in CONTRACT
    assert problem.code != "UNKNOWN"
    for locale in LOCALES:
        document = problem.document(locale, "/x")
        assert "{" not in document["detail"] + document["title"]
        msgspec.json.encode(document)


def test_statuses_are_the_contracts() -> None:
    ours = {code: kind.status for code, kind in CODES.items()}
    assert {**ours, **CONTRACT} == ours


def test_what_is_out_of_reach_is_503_and_what_is_unexpected_tells_nothing() -> None:
    for error in (
        errors.LedgerUnavailableError(),
        errors.LedgerBusyError(),
        psycopg.OperationalError("host secret"),
        persistence.OperationalError("pool secret"),
        StorageUnavailableError("bucket secret"),
    ):
        problem = problem_of(error)
        assert (problem.code, "Retry-After" in problem.headers) == ("UNAVAILABLE", True)
        assert "secret" not in str(problem.document("en", "/"))
    unexpected: list[Exception] = [LedgerError("secret"), ValueError("secret")]
    for unknown in unexpected:
        problem = problem_of(unknown)
        assert (problem.code, problem.http_status) == ("UNKNOWN", 500)
        assert "secret" not in str(problem.document("en", "/"))


def catalogue(locale: str) -> dict[str, str]:
    with (SOURCE / "locale" / locale / "LC_MESSAGES" / "mintage.po").open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file, locale=locale) if m.id}


def test_catalogues_hold_every_text_with_the_same_values_in_it() -> None:
    code = extract_from_dir(SOURCE, [("**.py", "python")], keywords={"msg": None})
    templates = extract_from_dir(
        SOURCE, [("**.html", "jinja2.ext:babel_extract")], keywords={"t": None}
    )
    texts = {str(message) for found in (code, templates) for _, _, message, _, _ in found}
    assert texts
    for locale in LOCALES:
        held = catalogue(locale)
        assert texts <= set(held), locale
        for text in texts:
            assert held[text], (locale, text)
            values = re.findall(r"\{[a-z_]*\}", held[text])
            assert sorted(values) == sorted(re.findall(r"\{[a-z_]*\}", text)), (locale, text)
        for text in held.values():
            assert "!" not in text
            assert "！" not in text


def test_failures_end_with_what_they_cost() -> None:
    for text, chinese in catalogue("zh_CN").items():
        if text.endswith("Nothing was charged."):
            assert chinese.endswith("未扣费。")


@pytest.mark.parametrize(
    ("header", "locale"),
    [(None, "zh_CN"), ("en", "en"), ("zh-TW", "zh_CN"), ("de,en;q=0.2", "en"), ("en;q=x", "zh_CN")],
)
def test_the_language_of_a_header(header: str | None, locale: str) -> None:
    assert locale_of(header) == locale
