"""How AWS is reached, whichever service of it: credentials, limits; never asks anything itself."""

from __future__ import annotations

import boto3
from botocore.config import Config
from botocore.credentials import SharedCredentialProvider

from deploy.errors import ConfigError

TIMEOUT_S = 20
LIMITS = Config(
    connect_timeout=5, read_timeout=TIMEOUT_S, retries={"mode": "standard", "max_attempts": 3}
)
# What AWS answers when it refuses who asks, rather than what is asked.
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
    """Makes a session from a shared credentials file, or (None) from botocore's own chain, web identity included.

    Raises ConfigError for a file without credentials.
    """
    if credentials is None:
        return boto3.Session(region_name=region)
    found = SharedCredentialProvider(credentials, "default").load()
    if found is None:
        raise ConfigError(f"{credentials} holds no AWS credentials under [default]")
    return boto3.Session(
        region_name=region,
        aws_access_key_id=found.access_key,
        aws_secret_access_key=found.secret_key,
        aws_session_token=found.token,
    )
