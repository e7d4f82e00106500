"""Reads secrets from AWS's Parameter Store and Secrets Manager.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import batched
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from deploy.adapters.aws import session as aws
from deploy.core.config import RegistryConfig, SecretStoreConfig
from deploy.core.state.secrets import (
    Found,
    Know,
    Missing,
    Secret,
    unknown,
)
from deploy.errors import SecretStoreAuthError, SecretStoreError

MOST_PARAMETERS = 10
"""The limit of one GetParameters request."""


class Account:
    """Region and credentials for the stores: from [secrets] in the environment file, else from [registry]."""

    def __init__(
        self, stores: SecretStoreConfig, registry: RegistryConfig, know: Know = unknown
    ) -> None:
        self._know = know
        self.region = stores.region or registry.region
        self._credentials = stores.credentials or registry.credentials
        self._endpoint_url = stores.endpoint_url

    def client(self, service: str) -> Any:
        """Returns a client of an AWS service."""
        with translated(service):
            session: Any = aws.session(self.region, self._credentials, self._know)
            return session.client(service, endpoint_url=self._endpoint_url, config=aws.LIMITS)


class ParameterStore:
    """SSM parameters, decrypted. The version combines the parameter's version number and its time.

    A parameter that is deleted and created again starts at 1 again; the time tells the two apart.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    @cached_property
    def _api(self) -> Any:
        return self._account.client("ssm")

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns each parameter, or why it is missing. Raises SecretStoreError."""
        found: dict[str, Found | Missing] = {}
        for names in batched(keys, MOST_PARAMETERS, strict=False):
            with translated("ssm"):
                answer = self._api.get_parameters(Names=list(names), WithDecryption=True)
            for parameter in answer["Parameters"]:
                # A key may be a name or an ARN.
                keys_of = (parameter["Name"], parameter.get("ARN", ""))
                found |= dict.fromkeys(keys_of, _parameter(parameter))
        missing = Missing(f"does not exist in {self._account.region}")
        return {key: found.get(key, missing) for key in keys}


class SecretsManager:
    """The current values in Secrets Manager, as text."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @cached_property
    def _api(self) -> Any:
        return self._account.client("secretsmanager")

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns each secret, or why it is missing. Raises SecretStoreError."""
        return {key: self._one(key) for key in keys}

    def _one(self, key: str) -> Found | Missing:
        api = self._api
        with translated("secretsmanager"):
            try:
                answer = api.get_secret_value(SecretId=key)
            except api.exceptions.ResourceNotFoundException:
                return Missing(f"does not exist in {self._account.region}, or has no value")
            except api.exceptions.InvalidRequestException as error:
                return Missing(f"can't be read: {error.response['Error']['Message']}")
        if "SecretString" not in answer:
            return Missing("is binary; only text is supported")
        return Found(Secret(answer["SecretString"]), answer["VersionId"])


def _parameter(answer: Mapping[str, Any]) -> Found:
    version = f"{answer['Version']}-{answer['LastModifiedDate'].timestamp():.0f}"
    return Found(Secret(answer["Value"]), version)


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Translates botocore's exceptions. AWS's messages don't contain values of secrets."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise SecretStoreAuthError(
            f"there are no AWS credentials for {service}; nothing was changed",
            hint="set AWS_PROFILE or the access keys; in CI, the web identity (docs/gitlab.md)",
        ) from error
    except ClientError as error:
        details = error.response["Error"]
        reason = f"{details.get('Code')}: {details.get('Message')}"
        message = f"AWS refused the request for {service}: {reason}; nothing was changed"
        if details.get("Code") in aws.REFUSED:
            raise SecretStoreAuthError(
                message, hint="check the AWS credentials and their policy (docs/secrets.md)"
            ) from error
        raise SecretStoreError(message) from error
    except BotoCoreError as error:
        raise SecretStoreError(
            f"AWS can't be reached for {service}: {error}; nothing was changed",
            hint="check the network and [secrets] in the environment file",
        ) from error
