"""How the OpenAPI document tells of a statement in two media types."""

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

_ROWS = (
    "id,type,amount,balance,status,description,generation_id,created_at,position\r\n"
    "01a2042e-ec2a-81b1-9c65-97891af5882f,token_consumption,-5,95,completed,生成图片：梦幻森林,"
    "01a2042e-ec2a-71b1-9c65-97891af5882f,2026-11-22T16:55:16.148861Z,4\r\n"
)


@dataclass
class StatementOperation(Operation):
    """The page is told by the handler; the CSV and its header here."""

    def __post_init__(self) -> None:
        rows = OpenAPIMediaType(
            schema=Schema(type=OpenAPIType.STRING),
            examples={"rows": Example(summary="One line", value=_ROWS)},
        )
        count = OpenAPIHeader(
            schema=Schema(type=OpenAPIType.INTEGER), description="CSV: its lines."
        )
        add_to_answer(self, content={"text/csv": rows}, headers={"Mintage-Count": count})
