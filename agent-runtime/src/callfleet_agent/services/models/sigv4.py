"""Signatures of requests to S3: AWS Signature Version 4.

docs.aws.amazon.com, "Authenticating Requests: Using the Authorization Header"; the tests use the
page's own examples.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Signer:
    """Keys of one account, for one region."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    def headers(
        self,
        host: str,
        path: str,
        query: Mapping[str, str],
        now: datetime,
        more: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The headers of a GET without a body. `path` is not encoded yet; `now` is UTC."""
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        signed = {
            **{name.lower(): value for name, value in (more or {}).items()},
            "host": host,
            "x-amz-content-sha256": EMPTY,
            "x-amz-date": stamp,
        }
        names = ";".join(sorted(signed))
        canonical = "\n".join(
            (
                "GET",
                quote(path, safe="/-_.~"),
                "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in sorted(query.items())),
                *(f"{name}:{signed[name]}" for name in sorted(signed)),
                "",
                names,
                EMPTY,
            )
        )
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.new(self._key(stamp[:8]), text.encode(), hashlib.sha256).hexdigest()
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope},"
            f"SignedHeaders={names},Signature={signature}"
        )
        sent = {name: value for name, value in signed.items() if name != "host"}
        return {**sent, "Authorization": authorization}

    def _key(self, day: str) -> bytes:
        key = f"AWS4{self.secret_key}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
