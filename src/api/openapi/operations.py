"""How the OpenAPI document tells of bodies that may be JSON or multipart, and of headers."""

from dataclasses import dataclass
from typing import Any, get_args

from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)

from api.http.preferences import IDEMPOTENCY_KEY
from api.http.schemas import AspectRatio
from ledger.decide import COUNT_MAX
from ledger.facts import ACCOUNT_ID, AMOUNT_MAX

_EXAMPLE: dict[str, Any] = {"prompt_id": "dreamy-forest", "count": 1, "aspect_ratio": "1:1"}


def _schema(reference: Schema) -> Schema:
    """The fields of `GenerationBody`; only the reference differs between the two forms."""
    return Schema(
        type=OpenAPIType.OBJECT,
        required=["prompt_id"],
        additional_properties=False,
        properties={
            "prompt_id": Schema(type=OpenAPIType.STRING, pattern=f"^{ACCOUNT_ID.pattern}$"),
            "reference_image": reference,
            "count": Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=COUNT_MAX, default=1),
            "aspect_ratio": Schema(
                type=OpenAPIType.STRING, enum=list(get_args(AspectRatio)), default="1:1"
            ),
            "expected_cost": Schema(
                type=OpenAPIType.INTEGER,
                minimum=0,
                maximum=AMOUNT_MAX,
                description="Refused with `PRICE_CHANGED` where the cost is another.",
            ),
        },
    )


def _body() -> RequestBody:
    text = Schema(type=OpenAPIType.STRING, description="base64, or a data URL of base64.")
    file = Schema(
        type=OpenAPIType.STRING,
        content_media_type="application/octet-stream",
        description="JPEG, PNG or WebP.",
    )
    example = Example(summary="One square image", value=_EXAMPLE)
    return RequestBody(
        required=True,
        content={
            "application/json": OpenAPIMediaType(schema=_schema(text), examples={"plain": example}),
            "multipart/form-data": OpenAPIMediaType(schema=_schema(file)),
        },
    )


def _header(name: str, description: str, example: str) -> Parameter:
    return Parameter(
        name=name,
        param_in="header",
        description=description,
        schema=Schema(type=OpenAPIType.STRING, examples=[example]),
    )


KEY_PARAMETER = _header(
    IDEMPOTENCY_KEY,
    "1–255 visible ASCII characters. The same key with the same input is done once.",
    "order-2026-0001",
)


@dataclass
class QuoteOperation(Operation):
    """A generation's body."""

    def __post_init__(self) -> None:
        self.request_body = _body()


@dataclass
class GenerationOperation(QuoteOperation):
    """The body, with the headers that steer a generation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        prefer = _header("Prefer", "`wait=N`, 1–60 seconds: answer when it has ended.", "wait=30")
        self.parameters = [*(self.parameters or []), KEY_PARAMETER, prefer]


@dataclass
class KeyedOperation(Operation):
    """An operation that honours an idempotency key."""

    def __post_init__(self) -> None:
        self.parameters = [*(self.parameters or []), KEY_PARAMETER]
