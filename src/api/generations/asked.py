"""Reading what a generation is asked with: JSON or multipart, to one and the same thing."""

import base64
import binascii
import hashlib
import re
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar.datastructures import UploadFile
from litestar.exceptions import ClientException

from api.http.bodies import StrictRequest, decode_json
from api.http.ids import PromptId
from api.http.schemas import AspectRatio
from api.problems.field_errors import invalid, invalid_from
from api.problems.refusals import BadBodyError, PictureTooLargeError
from api.texts.i18n import msg
from api.threads import Threads
from generation.pictures import UnsupportedPictureError
from ledger.decide import COUNT_MAX
from ledger.facts import AMOUNT_MAX
from ledger.identity import input_hash

FIELD = "reference_image"
INLINE_BYTES_MAX = 131_072
"""A larger body is decoded in a thread: 5 MB would hold the event loop for 20 ms."""

_DATA_URL = re.compile(r"data:[^,]{0,200};base64,")
_BLANKS = re.compile(r"\s+")


class GenerationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/generations`; in multipart, `reference_image` is the file."""

    prompt_id: PromptId
    reference_image: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)] = 1
    aspect_ratio: AspectRatio = "1:1"
    expected_cost: Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)] | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, with the reference's bytes as they were sent."""

    prompt_id: str
    count: int
    aspect_ratio: AspectRatio
    expected_cost: int | None
    reference: bytes | None

    @property
    def hash(self) -> UUID:
        """The same for the same input, however it was sent."""
        digest = b"" if self.reference is None else hashlib.sha256(self.reference).digest()
        return _hash(self.prompt_id, self.count, self.aspect_ratio, self.expected_cost, digest)


@lru_cache(maxsize=4_096)  # most ask for what others have asked for
def _hash(*fields_and_digest: Any) -> UUID:
    *fields, digest = fields_and_digest
    return input_hash((msgspec.json.encode(fields), digest))


async def read_asked(request: StrictRequest, threads: Threads, bytes_max: int) -> Asked:
    """Read and check the body.

    Raises `BadBodyError`, `InvalidInputError`, `PictureTooLargeError` or, for a picture of no
    bytes, `UnsupportedPictureError`.
    """
    if request.content_type[0] == "multipart/form-data":
        return _checked(*await _read_multipart(request), bytes_max)
    body = await request.body()
    if len(body) <= INLINE_BYTES_MAX:
        return read_json(body, bytes_max)
    return await threads.picture(read_json, body, bytes_max)


def read_json(body: bytes, bytes_max: int) -> Asked:
    """The body in JSON; raises as `read_asked` does."""
    decoded = decode_json(body, GenerationBody)
    text = decoded.reference_image
    return _checked(decoded, None if text is None else _from_base64(text), bytes_max)


async def _read_multipart(request: StrictRequest) -> tuple[GenerationBody, bytes | None]:
    try:
        form = await request.form()
    except (ClientException, UnicodeDecodeError, LookupError, ValueError) as error:
        if isinstance(error, ClientException) and error.status_code == 413:  # noqa: PLR2004
            raise
        raise BadBodyError from None
    fields: dict[str, Any] = {}
    picture: bytes | None = None
    for name, value in form.multi_items():
        if name in fields or (name == FIELD and picture is not None):
            raise invalid(name[:100], msg("Was sent more than once."))
        if isinstance(value, UploadFile):
            if name != FIELD:
                raise invalid(name[:100], msg("Must not be a file."))
            picture = await value.read()
        elif not (name == FIELD and value == ""):  # a form with no file chosen
            fields[name] = value
    try:
        body = msgspec.convert(fields, GenerationBody, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_from(error) from None
    if body.reference_image is not None:
        picture = _from_base64(body.reference_image)
    return body, picture


def _checked(body: GenerationBody, reference: bytes | None, bytes_max: int) -> Asked:
    if reference is not None and len(reference) > bytes_max:
        raise PictureTooLargeError(bytes_max)
    if reference == b"":
        raise UnsupportedPictureError("no bytes")
    return Asked(
        prompt_id=body.prompt_id,
        count=body.count,
        aspect_ratio=body.aspect_ratio,
        expected_cost=body.expected_cost,
        reference=reference,
    )


def _from_base64(text: str) -> bytes:
    if prefix := _DATA_URL.match(text):
        text = text[prefix.end() :]
    try:
        # Line ends and blanks come from tools that wrap; anything else is a mistake.
        return base64.b64decode(_BLANKS.sub("", text), validate=True)
    except (binascii.Error, ValueError):
        raise invalid(FIELD, msg("Is not base64, nor a data URL of base64.")) from None
