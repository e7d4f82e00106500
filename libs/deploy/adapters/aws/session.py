"""Sessions with AWS: credentials, timeouts, and the error codes of refused credentials."""

from __future__ import annotations

import threading

import boto3
from botocore.config import Config
from botocore.credentials import SharedCredentialProvider

from deploy.core.state.secrets import Know, Secret, unknown
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


def session(region: str, credentials: str | None, know: Know = unknown) -> boto3.Session:
    """Returns a session with a shared credentials file, or (None) with botocore's default chain, web identity included.

    `know` gets the credentials, those of the default chain whenever botocore signs with them. Raises ConfigError if the
    file has no credentials.
    """
    if credentials is None:
        chain = boto3.Session(region_name=region)
        telling = _Telling(chain, know)
        chain.events.register("before-sign", lambda **_: telling.tell())
        return chain
    found = SharedCredentialProvider(credentials, "default").load()
    if found is None:
        raise ConfigError(
            f"{credentials} has no AWS credentials under [default]; nothing was changed",
            hint="correct `credentials` in the environment file, or the file",
        )
    for value in (found.secret_key, found.token):
        know(Secret(value or ""))
    return boto3.Session(
        region_name=region,
        aws_access_key_id=found.access_key,
        aws_secret_access_key=found.secret_key,
        aws_session_token=found.token,
    )


class _Telling(threading.local):
    """Tells the filter a chain's credentials.

    Reading them may send a request of its own, to assume a role, which is signed too: botocore holds a lock meanwhile
    that a second reading by the same thread would wait for.
    """

    def __init__(self, chain: boto3.Session, know: Know) -> None:
        self._chain = chain
        self._know = know
        self._reads = False

    def tell(self) -> None:
        """Reads the credentials, unless this thread is about to, and tells them."""
        if self._reads:
            return
        self._reads = True
        try:
            found = self._chain.get_credentials()
            frozen = found.get_frozen_credentials() if found else None
        finally:
            self._reads = False
        if frozen:
            for value in (frozen.secret_key, frozen.token):
                self._know(Secret(value or ""))
