"""Pictures in an S3-compatible object storage."""

import io
import os
import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.error import S3Error

from generation.s3_errors import MISSING, translated
from generation.storage import (
    ObjectExistsError,
    ObjectNotFoundError,
    StorageUnavailableError,
    StoredObject,
    check_key,
    check_link_seconds,
    check_range,
    content_disposition,
)

CONNECT_SECONDS_MAX = 3.0
READ_SECONDS_MAX = 15.0
RETRIES_MAX = 2
CONNECTIONS_MAX = 16
SINGLE_PUT_BYTES_MIN = 5 * 1024 * 1024
"""minio's smallest part; a whole picture is one part, since one PUT is all or nothing."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class S3Storage:
    """`Storage` in one bucket. Endpoints are `http://host:port` or `https://host`.

    Links are signed for `public_endpoint`, the address that browsers reach. A call that gets no
    answer ends within a minute. S3 has no refusal of a taken key that every server knows, so `put`
    looks first; two puts of one key at the same moment both succeed. Our keys are random.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        region: str = "us-east-1",
        public_endpoint: str | None = None,
        read_seconds_max: float = READ_SECONDS_MAX,
    ) -> None:
        """Make no call. Raises `ValueError` for what is no endpoint or no bucket name."""
        if _BUCKET.fullmatch(bucket) is None:
            raise ValueError("an S3 bucket name has 3 to 63 of a-z, 0-9, dots and hyphens")
        self._where = f"{endpoint}, bucket {bucket}"
        self._bucket = bucket
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=read_seconds_max),
            retries=urllib3.Retry(
                total=RETRIES_MAX, backoff_factor=0.2, status_forcelist=(502, 503, 504)
            ),
            maxsize=CONNECTIONS_MAX,
            cert_reqs="CERT_REQUIRED",
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        )

        def client(address: str) -> Minio:
            host, secure = _split_endpoint(address)
            return Minio(
                endpoint=host,
                secure=secure,
                access_key=access_key,
                secret_key=secret_key,
                # Without a region each presigning would ask the server for it.
                region=region,
                http_client=self._http,
            )

        self._client = client(endpoint)
        # The host is part of what is signed; this client never makes a call.
        self._public_client = client(public_endpoint or endpoint)

    def ensure_bucket(self) -> None:
        """Create the bucket if it is missing; call it once at start-up."""
        with translated(self._where, "open bucket"):
            if not self._client.bucket_exists(bucket_name=self._bucket):
                try:
                    self._client.make_bucket(bucket_name=self._bucket)
                except S3Error as error:
                    # Another process may have been quicker.
                    if error.code != "BucketAlreadyOwnedByYou":
                        raise

    def close(self) -> None:
        """Give back the connections; safe to call twice."""
        self._http.clear()

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Write in one request, all or nothing."""
        check_key(key)
        try:
            self.stat(key)
        except ObjectNotFoundError:
            pass
        else:
            raise ObjectExistsError(f"put {key}: the key is taken")
        with translated(self._where, "put", key):
            self._client.put_object(
                bucket_name=self._bucket,
                object_name=key,
                data=io.BytesIO(data),
                length=len(data),
                content_type=mime_type,
                part_size=max(len(data), SINGLE_PUT_BYTES_MIN),
            )

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Read from `offset` on."""
        check_key(key)
        check_range(offset, length)
        if length == 0:  # minio takes 0 for "to the end"
            self.stat(key)
            return b""
        with translated(self._where, "get", key):
            try:
                response = self._client.get_object(
                    bucket_name=self._bucket, object_name=key, offset=offset, length=length or 0
                )
            except S3Error as error:
                if error.code == "InvalidRange":  # it begins at the end or after it
                    return b""
                raise
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

    def stat(self, key: str) -> StoredObject:
        """Ask for the object's head."""
        check_key(key)
        with translated(self._where, "stat", key):
            found = self._client.stat_object(bucket_name=self._bucket, object_name=key)
        return _describe(key, found.size, found.last_modified)

    def delete(self, key: str) -> None:
        """Remove the object."""
        check_key(key)
        with translated(self._where, "delete", key):
            try:
                self._client.remove_object(bucket_name=self._bucket, object_name=key)
            except S3Error as error:
                if error.code not in MISSING:
                    raise

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        """Read as many of the server's pages as `limit` needs."""
        with translated(self._where, "list", prefix):
            found = self._client.list_objects(
                bucket_name=self._bucket,
                prefix=prefix or None,
                recursive=True,
                start_after=after or None,
            )
            return [
                _describe(item.object_name, item.size, item.last_modified)
                for item in islice(found, limit)
            ]

    def link(
        self, key: str, *, expires_seconds: int, mime_type: str, download_name: str | None = None
    ) -> str:
        """Presign for the public endpoint."""
        check_key(key)
        check_link_seconds(expires_seconds)
        headers: dict[str, str | list[str] | tuple[str]] = {"response-content-type": mime_type}
        if download_name is not None:
            headers["response-content-disposition"] = content_disposition(download_name)
        with translated(self._where, "link", key):
            return str(
                self._public_client.presigned_get_object(
                    bucket_name=self._bucket,
                    object_name=key,
                    expires=timedelta(seconds=expires_seconds),
                    response_headers=headers,
                )
            )

    def check(self) -> None:
        """Ask for the bucket, which needs the server and our credentials."""
        with translated(self._where, "check"):
            if not self._client.bucket_exists(bucket_name=self._bucket):
                raise StorageUnavailableError(f"check: no such bucket at {self._where}")


def _split_endpoint(endpoint: str) -> tuple[str, bool]:
    parts = urlsplit(endpoint)
    plain = parts.path in {"", "/"} and not (parts.query or parts.fragment)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or not plain
        or "@" in parts.netloc
    ):
        raise ValueError("an S3 endpoint is http://host:port or https://host, nothing more")
    return parts.netloc, parts.scheme == "https"


def _describe(key: str, size: int | None, modified_at: datetime | None) -> StoredObject:
    at = (modified_at or datetime.fromtimestamp(0, UTC)).timestamp()
    return StoredObject(key=key, bytes=size or 0, modified_at=at)
