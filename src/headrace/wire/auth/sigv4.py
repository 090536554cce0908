"""Who calls, and for which region and service, as a request's AWS signature claims it.

Read from the Authorization header or from the parameters of a presigned URL, as AWS documents for Signature Version 4;
a request with neither is anonymous. The claim is taken as it stands: signatures are not checked.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from headrace import limits
from headrace.context import Principal
from headrace.wire.messages import Request

DEFAULT_ACCOUNT: Final = "000000000000"
"""The account of every credential that does not name one."""

DEFAULT_REGION: Final = "us-east-1"

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_SCOPE_PARTS: Final = 5
_REGIONLESS_SCOPE_PARTS: Final = 4


class Caller(msgspec.Struct, frozen=True):
    """What a signature claims; `region` and `service` are empty where it does not say."""

    principal: Principal
    region: str
    service: str


def authenticate(request: Request) -> Caller:
    """Who sent the request. Raises ServiceError when it is not signed in a header and its fields cannot be read."""
    if request.caller is None:
        request.caller = _read_caller(request)
    return request.caller


def _read_caller(request: Request) -> Caller:
    header = request.headers.get("authorization")
    if header is not None:
        return read_authorization(header)
    fields = request.fields()
    credential = fields.get("X-Amz-Credential") or fields.get("AWSAccessKeyId")
    return read_credential(credential) if credential else ANONYMOUS


def read_authorization(header: str) -> Caller:
    """The caller an Authorization header names: `AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/…, …`.

    A header of another kind leaves the caller anonymous, except `AWS <key>:<signature>`, which is Signature Version 2.
    """
    start = header.find("Credential=")
    if start >= 0:
        end = header.find(",", start)
        return read_credential(header[start + 11 : end if end >= 0 else None])
    scheme, _, rest = header.partition(" ")
    return read_credential(rest.partition(":")[0]) if scheme == "AWS" else ANONYMOUS


@lru_cache(maxsize=limits.MAX_CREDENTIAL_SCOPES)
def read_credential(credential: str) -> Caller:
    """The caller of a credential: `<access key id>/<yyyymmdd>/<region>/<service>/aws4_request`, or the key id alone."""
    parts = credential.strip().rsplit("/", _SCOPE_PARTS - 1)
    if len(parts) == _SCOPE_PARTS:
        return Caller(_principal(parts[0]), parts[2], parts[3])
    if len(parts) == _REGIONLESS_SCOPE_PARTS:  # AWS: Signature Version 4A leaves the region out of the scope.
        return Caller(_principal(parts[0]), "", parts[2])
    return Caller(_principal(parts[0]), "", "")


def _principal(access_key_id: str) -> Principal:
    account = access_key_id if _ACCOUNT.fullmatch(access_key_id) else DEFAULT_ACCOUNT
    return Principal(
        account=account,
        access_key_id=access_key_id,
        user_id=access_key_id or "anonymous",
        arn=f"arn:aws:iam::{account}:root",
    )


ANONYMOUS: Final = Caller(_principal(""), "", "")
"""The caller of a request that is not signed."""
