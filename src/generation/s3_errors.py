"""What minio and urllib3 raise, told in the storage port's words."""

from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError

from generation.storage import ObjectNotFoundError, StorageError, StorageUnavailableError

MISSING = frozenset({"NoSuchKey"})
_REFUSED = frozenset(
    {
        "AccessDenied",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_UNAVAILABLE = frozenset(
    {"InternalError", "NoSuchBucket", "RequestTimeout", "ServiceUnavailable", "SlowDown"}
)


@contextmanager
def translated(where: str, operation: str, key: str = "") -> Iterator[None]:
    """Turn minio's and urllib3's errors into the port's, once.

    Their texts stay here (`from None`): a server's answer may repeat what it was sent.
    """
    what = f"{operation} {key}".strip()
    try:
        yield
    except S3Error as error:
        code = error.code or "an error without a code"
        if code in MISSING:
            raise ObjectNotFoundError(f"{what}: no such object") from None
        if code in _REFUSED:
            why = f"credentials refused by {where} ({code})"
            raise StorageUnavailableError(f"{what}: {why}") from None
        kind = StorageUnavailableError if code in _UNAVAILABLE else StorageError
        raise kind(f"{what}: {where} answered {code}") from None
    except ServerError as error:
        why = f"{where} answered HTTP {error.status_code}"
        raise StorageUnavailableError(f"{what}: {why}") from None
    except (InvalidResponseError, ParseError, ValueError):
        # minio reads XML without a schema: a page in its place ends as one of these.
        why = f"{where} answered something that is not S3"
        raise StorageUnavailableError(f"{what}: {why}") from None
    except HTTPError as error:
        cause = getattr(error, "reason", None) or error
        why = f"no answer from {where} ({type(cause).__name__})"
        raise StorageUnavailableError(f"{what}: {why}") from None
    except MinioException as error:
        raise StorageError(f"{what}: {where}: {type(error).__name__}") from None
