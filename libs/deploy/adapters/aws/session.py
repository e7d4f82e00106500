"""Sessions with AWS: credentials, timeouts, and the error codes of refused credentials."""

from __future__ import annotations

import boto3
from botocore.config import Config
from botocore.credentials import SharedCredentialProvider

from deploy.errors import ConfigError

TIMEOUT_S = 20
LIMITS = Config(
    connect_timeout=5, read_timeout=TIMEOUT_S, retries={"mode": "standard", "max_attempts": 3}
)
# Error codes for refused credentials, as opposed to refused requests.
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html
REFUSED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredTokenException",
        "IDPRejectedClaim",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "UnrecognizedClientException",
    }
)


def session(region: str, credentials: str | None) -> boto3.Session:
    """Returns a session with a shared credentials file, or (None) with botocore's default chain, web identity included.

    Raises ConfigError if the file has no credentials.
    """
    if credentials is None:
        return boto3.Session(region_name=region)
    found = SharedCredentialProvider(credentials, "default").load()
    if found is None:
        raise ConfigError(
            f"{credentials} has no AWS credentials under [default]; nothing was changed",
            hint="correct `credentials` in the environment file, or the file",
        )
    return boto3.Session(
        region_name=region,
        aws_access_key_id=found.access_key,
        aws_secret_access_key=found.secret_key,
        aws_session_token=found.token,
    )
