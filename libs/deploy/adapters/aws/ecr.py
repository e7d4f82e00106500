"""ECR: repositories and logins through AWS's API, digests through the registry's own; never pushes an image.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import re
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
            "description": "What no tag names any more",
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
            "description": "More than any rollback will ask for",
            "selection": {
                "tagStatus": "any",
                "countType": "imageCountMoreThan",
                "countNumber": KEPT_IMAGES,
            },
            "action": {"type": "expire"},
        },
    ]
}
REFERENCE = re.compile(r"(?P<registry>[^/]+)/(?P<repository>[^@]+)@(?P<digest>sha256:[0-9a-f]{64})")

type _Answer = tuple[int, str, bytes]
"""Status, digest, body."""


class EcrRegistry:
    """One account's registry in one region. Logins are asked for once and kept in memory only."""

    def __init__(self, config: RegistryConfig) -> None:
        self._config = config

    @property
    def name(self) -> str:
        """The registry's host name, as it stands in references."""
        return self._config.name

    @property
    def push_name(self) -> str:
        """The name under which this machine's engine reaches the registry."""
        return self._config.push_via or self._config.name

    @cached_property
    def _api(self) -> ECRClient:
        config = self._config
        with self._translated():
            session = aws.session(config.region, config.credentials)
            return session.client("ecr", endpoint_url=config.endpoint_url, config=aws.LIMITS)

    @cached_property
    def _login(self) -> tuple[str, str]:
        api = self._api
        with self._translated():
            # The older argument registryIds names the account: a login for another one would be of no use.
            answer = api.get_authorization_token(registryIds=[self._config.account])
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        user, _, password = token.partition(":")
        return user, password

    def login(self) -> tuple[str, str, str]:
        """Returns (registry name, user, password); the password lives twelve hours at most."""
        return (self.name, *self._login)

    def ensure_repository(self, repository: str) -> bool:
        """Makes a repository if there is none, with immutable tags, scan on push and a lifecycle; says if it did.

        One that exists is left as it is: its settings may be somebody's choice.
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
        """Returns `sha256:...` of a tag or a digest, None if the registry has no such image."""
        status, digest, _ = self._ask("HEAD", f"/v2/{repository}/manifests/{tag}")
        match status:
            case 200:
                return digest
            case 404:
                return None
            case 401 | 403:
                raise self._refused(status, "nothing was pushed or pulled")
            case _:
                raise RegistryError(
                    f"registry {self.name} answered HTTP {status} for {repository}:{tag}"
                )

    def configuration_of(self, repository: str, tag: str) -> str | None:
        """Returns the digest of the image configuration behind a tag, None if the registry doesn't return one."""
        status, _, body = self._ask("GET", f"/v2/{repository}/manifests/{tag}")
        try:
            return str(json.loads(body)["config"]["digest"]) if status == 200 else None
        except (ValueError, KeyError, TypeError):
            return None

    def size_of(self, image: str) -> int:
        """Returns how many bytes a pull of `name@sha256:...` moves, 0 if the registry doesn't say.

        Raises RegistryAuthError where the login isn't good any more, RegistryError where nobody answers.
        """
        found = REFERENCE.fullmatch(image)
        if found is None or found["registry"] != self.name:
            return 0
        body = self._manifest(found["repository"], found["digest"])
        # Several platforms may be under one name: a host pulls one.
        if one := image_for_linux(body):
            body = self._manifest(found["repository"], one)
        return pulled_bytes(body)

    def _manifest(self, repository: str, digest: str) -> bytes:
        status, _, body = self._ask("GET", f"/v2/{repository}/manifests/{digest}")
        if status in (401, 403):
            raise self._refused(status, "nothing was pushed or pulled")
        return body if status == 200 else b""

    def require(self, image: str) -> None:
        """Raises ImageNotFoundError unless `image` is `name@sha256:...` of an image that this registry holds."""
        found = REFERENCE.fullmatch(image)
        if found is None or found["registry"] != self.name:
            raise ImageNotFoundError(
                f"{image} is no image of {self.name}; nothing was touched",
                hint=f"--image takes {self.name}/NAME@sha256:..., as ship publish prints it",
            )
        if self.digest_of(found["repository"], found["digest"]) is None:
            raise ImageNotFoundError(
                f"the registry holds no image {image}; nothing was touched",
                hint="./ship history SERVICE lists the images that were deployed",
            )

    def _refused(self, status: int, state: str) -> RegistryAuthError:
        return RegistryAuthError(
            f"registry {self.name} refused our login (HTTP {status}); {state}",
            hint="check the AWS credentials; for a sandbox: ./ship up --yes",
        )

    def _ask(self, method: str, path: str) -> _Answer:
        user, password = self._login
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Accept": MANIFESTS}
        try:
            return self._asked(method, path, headers)
        except (OSError, http.client.HTTPException) as error:
            raise RegistryError(
                f"registry {self.name} can't be reached at {self.push_name}: {error}",
                hint="./ship up --yes starts a sandbox's registry" if self._config.push_via else "",
            ) from error

    def _asked(self, method: str, path: str, headers: dict[str, str]) -> _Answer:
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
            context = ssl._create_unverified_context()  # noqa: SLF001, S323 - as Docker's engine does on loopback
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
                f"there are no AWS credentials for registry {self.name}; nothing was touched",
                hint="set AWS_PROFILE or the keys, or in CI the web identity",
            ) from error
        except ClientError as error:
            said = error.response["Error"]
            message = (
                f"AWS refused for registry {self.name}: {said.get('Code')}: {said.get('Message')}"
            )
            if said.get("Code") in aws.REFUSED:
                raise RegistryAuthError(
                    message, hint="check the AWS credentials and their policy"
                ) from error
            raise RegistryError(message) from error
        except BotoCoreError as error:
            raise RegistryError(
                f"AWS can't be reached for registry {self.name}: {error}"
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
