"""AWS's two stores of secrets: the Parameter Store and Secrets Manager; reads them, never writes.

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
    Missing,
    Secret,
)
from deploy.errors import SecretStoreAuthError, SecretStoreError

MOST_PARAMETERS = 10
"""What one GetParameters may ask for."""


class Account:
    """Where and as whom the stores are asked: what [secrets] says, else what [registry] does."""

    def __init__(self, stores: SecretStoreConfig, registry: RegistryConfig) -> None:
        self.region = stores.region or registry.region
        self._credentials = stores.credentials or registry.credentials
        self._endpoint_url = stores.endpoint_url

    def client(self, service: str) -> Any:
        """Makes a client of one of AWS's services."""
        with translated(service):
            session: Any = aws.session(self.region, self._credentials)
            return session.client(service, endpoint_url=self._endpoint_url, config=aws.LIMITS)


class ParameterStore:
    """SSM parameters, decrypted. The version of one is its number with the time of that number.

    A parameter that is deleted and made again begins at 1 again; the time tells the two apart.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    @cached_property
    def _api(self) -> Any:
        return self._account.client("ssm")

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns each parameter, ten a request. Raises SecretStoreError."""
        found: dict[str, Found | Missing] = {}
        for some in batched(keys, MOST_PARAMETERS, strict=False):
            with translated("ssm"):
                answer = self._api.get_parameters(Names=list(some), WithDecryption=True)
            for each in answer["Parameters"]:
                # However it was asked for.
                found |= dict.fromkeys((each["Name"], each.get("ARN", "")), _parameter(each))
        gone = Missing(f"is no parameter in {self._account.region}")
        return {key: found.get(key, gone) for key in keys}


class SecretsManager:
    """Secrets Manager's current values, as text."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @cached_property
    def _api(self) -> Any:
        return self._account.client("secretsmanager")

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns each secret. Raises SecretStoreError."""
        return {key: self._one(key) for key in keys}

    def _one(self, key: str) -> Found | Missing:
        api = self._api
        with translated("secretsmanager"):
            try:
                answer = api.get_secret_value(SecretId=key)
            except api.exceptions.ResourceNotFoundException:
                return Missing(f"is no secret in {self._account.region}, or has no value")
            except api.exceptions.InvalidRequestException as error:
                return Missing(f"can't be read: {error.response['Error']['Message']}")
        if "SecretString" not in answer:
            return Missing("is binary; only text can be delivered")
        return Found(Secret(answer["SecretString"]), answer["VersionId"])


def _parameter(answer: Mapping[str, Any]) -> Found:
    version = f"{answer['Version']}-{answer['LastModifiedDate'].timestamp():.0f}"
    return Found(Secret(answer["Value"]), version)


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Turns what botocore raises into the tool's own errors; a message of AWS's never holds a value."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise SecretStoreAuthError(
            f"there are no AWS credentials for {service}; nothing was touched",
            hint="set AWS_PROFILE or the keys, or in CI the web identity",
        ) from error
    except ClientError as error:
        said = error.response["Error"]
        message = f"AWS refused for {service}: {said.get('Code')}: {said.get('Message')}; nothing was touched"
        if said.get("Code") in aws.REFUSED:
            raise SecretStoreAuthError(
                message, hint="check the AWS credentials and their policy (docs/secrets.md)"
            ) from error
        raise SecretStoreError(message) from error
    except BotoCoreError as error:
        raise SecretStoreError(
            f"AWS can't be reached for {service}: {error}; nothing was touched"
        ) from error
