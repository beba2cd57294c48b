"""From msgspec's messages to field names and our own words: one table of patterns."""

import re
from collections.abc import Callable

import msgspec

from api.problems.refusals import BadBodyError, FieldProblem, InvalidInputError
from api.texts.i18n import Message, msg

BODY = "body"
"""The field's name where the whole body is meant."""

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_NAMED = re.compile(r"(?:missing required|unknown) field `(?P<name>.*)`$", re.DOTALL)

_Words = Callable[[re.Match[str]], Message]


def _bound(message: Message) -> _Words:
    return lambda match: Message(message.id, {"value": match["value"]})


_WORDS: tuple[tuple[re.Pattern[str], _Words], ...] = (
    (re.compile("missing required"), lambda _: msg("This field is required.")),
    (re.compile("unknown field"), lambda _: msg("There is no such field.")),
    (re.compile("Expected `int` >= (?P<value>-?[0-9]+)"), _bound(msg("Must be at least {value}."))),
    (re.compile("Expected `int` <= (?P<value>-?[0-9]+)"), _bound(msg("Must be at most {value}."))),
    (
        re.compile("Expected `str` of length >= (?P<value>[0-9]+)"),
        _bound(msg("Must have at least {value} characters.")),
    ),
    (
        re.compile("Expected `str` of length <= (?P<value>[0-9]+)"),
        _bound(msg("Must have at most {value} characters.")),
    ),
    (
        re.compile("Expected `(?P<value>[a-z |]+)`, got"),
        lambda match: msg("Must be of type {value}.", value=match["value"].replace(" | null", "")),
    ),
    (re.compile("matching regex"), lambda _: msg("Has characters or a form that is not allowed.")),
    (re.compile("[Ii]nvalid enum value"), lambda _: msg("Is not one of the allowed values.")),
    (re.compile("out of range"), lambda _: msg("The number is out of range.")),
)


def describe(message: str) -> Message:
    """Our words for one of msgspec's messages."""
    for pattern, words in _WORDS:
        if match := pattern.search(message):
            return words(match)
    return msg("Is not valid.")


def field_problem(message: str) -> FieldProblem:
    """The field that the message is about, and our words for it."""
    path = _PATH.search(message)
    parts = [path["path"]] if path else []
    bare = _PATH.sub("", message)
    if named := _NAMED.search(bare):
        parts.append(named["name"][:100])
    return FieldProblem(".".join(filter(None, parts)) or BODY, describe(bare))


def invalid(field: str, message: Message) -> InvalidInputError:
    """One field is wrong."""
    return InvalidInputError(FieldProblem(field, message))


def invalid_from(error: msgspec.ValidationError, body: bytes | None = None) -> Exception:
    """What msgspec refused. A body that is not JSON at all is told apart, at whatever place."""
    if body is not None:
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return BadBodyError()
    return InvalidInputError(field_problem(str(error)))
