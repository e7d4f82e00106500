"""An ECR registry: repositories and logins through AWS's API, digests through the registry's own API.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from deploy.adapters.aws import session as aws
from deploy.core.config import RegistryConfig
from deploy.core.images.oci import image_for_linux, pulled_bytes
from deploy.core.images.registry_failures import explain, failure_of
from deploy.core.references import REFERENCE
from deploy.core.state.secrets import Know, Secret, unknown
from deploy.errors import ImageNotFoundError, RegistryAuthError, RegistryError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

TIMEOUT_S = 20
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json"
)
KEPT_IMAGES = 200
LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "Untagged images",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 14,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "description": "More images than a rollback needs",
            "selection": {
                "tagStatus": "any",
                "countType": "imageCountMoreThan",
                "countNumber": KEPT_IMAGES,
            },
            "action": {"type": "expire"},
        },
    ]
}

type _Answer = tuple[int, str, bytes]
"""Status, digest, body."""


class EcrRegistry:
    """The registry of an account in a region. It fetches one login and keeps it in memory only.

    `know` gets the login's password and the credentials that it was fetched with.
    """

    def __init__(self, config: RegistryConfig, know: Know = unknown) -> None:
        self._config = config
        self._know = know

    @property
    def name(self) -> str:
        """The registry's host name, as in image references."""
        return self._config.name

    @property
    def push_name(self) -> str:
        """The name under which this machine's engine reaches the registry."""
        return self._config.push_via or self._config.name

    @cached_property
    def _api(self) -> ECRClient:
        config = self._config
        with self._translated():
            session = aws.session(config.region, config.credentials, self._know)
            return session.client("ecr", endpoint_url=config.endpoint_url, config=aws.LIMITS)

    @cached_property
    def _login(self) -> tuple[str, str]:
        api = self._api
        with self._translated():
            # registryIds names the account, so that no login of another account is returned.
            answer = api.get_authorization_token(registryIds=[self._config.account])
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        user, _, password = token.partition(":")
        self._know(Secret(password))
        return user, password

    def login(self) -> tuple[str, str, str]:
        """Returns (registry name, user, password). The password is valid for at most twelve hours."""
        return (self.name, *self._login)

    def ensure_repository(self, repository: str) -> bool:
        """Creates a repository with immutable tags, scan on push and a lifecycle. Returns whether it was created.

        An existing repository is left unchanged, because its settings may be intended.
        """
        api = self._api
        with self._translated():
            try:
                api.create_repository(
                    repositoryName=repository,
                    imageTagMutability="IMMUTABLE",
                    imageScanningConfiguration={"scanOnPush": True},
                )
            except api.exceptions.RepositoryAlreadyExistsException:
                return False
            api.put_lifecycle_policy(
                repositoryName=repository, lifecyclePolicyText=json.dumps(LIFECYCLE)
            )
        return True

    def digest_of(self, repository: str, tag: str) -> str | None:
        """Returns the `sha256:...` digest of a tag or digest, None if the registry has no such image."""
        status, digest, _ = self._request("HEAD", f"/v2/{repository}/manifests/{tag}")
        match status:
            case 200:
                return digest
            case 404:
                return None
            case _:
                raise self._refused(status, f"HTTP {status} for {repository}:{tag}")

    def configuration_of(self, repository: str, tag: str) -> str | None:
        """Returns the digest of the image configuration behind a tag, None if the registry doesn't return one."""
        status, _, body = self._request("GET", f"/v2/{repository}/manifests/{tag}")
        try:
            return str(json.loads(body)["config"]["digest"]) if status == 200 else None
        except (ValueError, KeyError, TypeError):
            return None

    def size_of(self, image: str) -> int:
        """Returns the download size of `name@sha256:...` in bytes, 0 if the registry doesn't report it.

        Raises RegistryAuthError if the login has expired, RegistryError if the registry can't be reached.
        """
        found = REFERENCE.fullmatch(image)
        if found is None or found["registry"] != self.name:
            return 0
        body = self._manifest(found["repository"], found["digest"])
        # The image may be an index of several platforms; a host pulls one of them.
        if platform := image_for_linux(body):
            body = self._manifest(found["repository"], platform)
        return pulled_bytes(body)

    def _manifest(self, repository: str, digest: str) -> bytes:
        status, _, body = self._request("GET", f"/v2/{repository}/manifests/{digest}")
        if status in (401, 403):
            raise self._refused(status, f"HTTP {status} for {repository}@{digest}")
        return body if status == 200 else b""

    def require(self, image: str) -> None:
        """Raises ImageNotFoundError unless `image` is the `name@sha256:...` of an image in this registry."""
        found = REFERENCE.fullmatch(image)
        if found is None or found["registry"] != self.name:
            raise ImageNotFoundError(
                f"{image} is not an image of {self.name} by digest; nothing was changed",
                hint=f"--image takes {self.name}/NAME@sha256:..., as ship publish prints it",
            )
        if self.digest_of(found["repository"], found["digest"]) is None:
            raise ImageNotFoundError(
                f"the registry has no image {image}; nothing was changed",
                hint="./ship history SERVICE lists the images that were deployed",
            )

    def _refused(self, status: int, answer: str) -> RegistryError:
        explanation = explain(failure_of(str(status)), self.name)
        error = RegistryAuthError if status in (401, 403) else RegistryError
        return error(
            f"{explanation.what}: {answer}; nothing was pushed or pulled", hint=explanation.hint
        )

    def _request(self, method: str, path: str) -> _Answer:
        user, password = self._login
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Accept": MANIFESTS}
        try:
            return self._send(method, path, headers)
        except (OSError, http.client.HTTPException) as error:
            explanation = explain(failure_of(str(error)), self.push_name)
            raise RegistryError(
                f"registry {self.name} can't be reached: {explanation.what}: {error}; nothing was pushed or pulled",
                hint="./ship up --yes starts a sandbox's registry"
                if self._config.push_via
                else explanation.hint,
            ) from error

    def _send(self, method: str, path: str, headers: dict[str, str]) -> _Answer:
        via = self._config.push_via
        if via is None or not _is_loopback(via):
            context = ssl.create_default_context()
            return _answer(
                http.client.HTTPSConnection(self.push_name, timeout=TIMEOUT_S, context=context),
                method,
                path,
                headers,
            )
        try:
            context = ssl._create_unverified_context()  # noqa: SLF001, S323 - like Docker's engine on loopback
            return _answer(
                http.client.HTTPSConnection(via, timeout=TIMEOUT_S, context=context),
                method,
                path,
                headers,
            )
        except ssl.SSLError:
            return _answer(
                http.client.HTTPConnection(via, timeout=TIMEOUT_S), method, path, headers
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise RegistryAuthError(
                f"there are no AWS credentials for registry {self.name}; nothing was changed",
                hint="set AWS_PROFILE or the access keys; in CI, the web identity (docs/gitlab.md)",
            ) from error
        except ClientError as error:
            details = error.response["Error"]
            reason = f"{details.get('Code')}: {details.get('Message')}"
            message = f"AWS refused the request for registry {self.name}: {reason}"
            if details.get("Code") in aws.REFUSED:
                raise RegistryAuthError(
                    message, hint="check the AWS credentials and their policy"
                ) from error
            raise RegistryError(message) from error
        except BotoCoreError as error:
            raise RegistryError(
                f"AWS can't be reached for registry {self.name}: {error}; nothing was changed",
                hint="check the network and [registry] in the environment file",
            ) from error


def _answer(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]
) -> _Answer:
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Docker-Content-Digest", ""), answer.read()
    finally:
        connection.close()


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
