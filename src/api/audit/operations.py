"""How the OpenAPI document tells of an answer in three media types."""

from dataclasses import dataclass

from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Schema,
)

from api.openapi.documented import add_to_answer

_LINE = (
    '{"position":2,"account_id":"demo-user-123","version":2,"type":"TokensGranted",'
    '"at":"2026-01-31T08:00:00.000000Z","actor":"seed","data":{"amount":100,"reason":"welcome"}}\n'
    '{"end":true,"count":1}\n'
)
_ROWS = (
    "position,account_id,version,type,at,actor,data\r\n"
    "2,demo-user-123,2,TokensGranted,2026-01-31T08:00:00.000000Z,seed,"
    '"{""amount"": 100, ""reason"": ""welcome""}"\r\n'
)


@dataclass
class EventsOperation(Operation):
    """The page is told by the handler; the exports and their headers here."""

    def __post_init__(self) -> None:
        text, number = Schema(type=OpenAPIType.STRING), Schema(type=OpenAPIType.INTEGER)
        add_to_answer(
            self,
            content={
                "application/x-ndjson": OpenAPIMediaType(
                    schema=text, examples={"lines": Example(summary="One event", value=_LINE)}
                ),
                "text/csv": OpenAPIMediaType(
                    schema=text, examples={"rows": Example(summary="One event", value=_ROWS)}
                ),
            },
            headers={
                "Mintage-Position": OpenAPIHeader(
                    schema=number, description="Exports: where the log ended when they began."
                ),
                "Mintage-Count": OpenAPIHeader(schema=number, description="CSV: its rows."),
            },
        )
