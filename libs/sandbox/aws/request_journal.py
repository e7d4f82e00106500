"""Records the requests that change ECR repositories, parameters and secrets, and replays them after a restart.

moto keeps its state in memory only. Parameters and secrets are replayed request by request, so that their versions come
out the same and releases deployed with them still match. Of a repository, the last request of each kind is enough.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.ssm.models import ssm_backends
from werkzeug.test import Client

from sandbox.credentials import ACCOUNT, REGION
from sandbox.state import Folder

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Existing sandboxes have these files.
REPOSITORIES_FILE = "ecr.json"
"""`{repository: {action: request body}}`."""
SECRETS_FILE = "secrets.json"
"""`[{"target": ..., "body": ..., "at": ...}]`, oldest first."""

ECR = "AmazonEC2ContainerRegistry_V20150921"
SSM = "AmazonSSM"
SECRETS_MANAGER = "secretsmanager"
DELETE_REPOSITORY = f"{ECR}.DeleteRepository"
PUT_PARAMETER = f"{SSM}.PutParameter"
RECORDED = {
    DELETE_REPOSITORY,
    f"{ECR}.CreateRepository",
    f"{ECR}.PutImageScanningConfiguration",
    f"{ECR}.PutImageTagMutability",
    f"{ECR}.PutLifecyclePolicy",
    f"{ECR}.SetRepositoryPolicy",
    PUT_PARAMETER,
    f"{SSM}.DeleteParameter",
    f"{SSM}.DeleteParameters",
    f"{SSM}.LabelParameterVersion",
    f"{SECRETS_MANAGER}.CreateSecret",
    f"{SECRETS_MANAGER}.DeleteSecret",
    f"{SECRETS_MANAGER}.PutSecretValue",
    f"{SECRETS_MANAGER}.RestoreSecret",
    f"{SECRETS_MANAGER}.UpdateSecret",
}
_SIGNING_NAMES = {ECR: "ecr", SSM: "ssm", SECRETS_MANAGER: "secretsmanager"}


class Request(NamedTuple):
    """A recorded request: the value of X-Amz-Target, the body, and when it set a parameter (ISO 8601)."""

    target: str
    body: dict[str, Any]
    at: str | None = None


class RequestJournal:
    """A WSGI application in front of moto's that records successful changes in a sandbox's folder."""

    def __init__(self, moto: WSGIApplication, folder: Folder) -> None:
        self._moto = moto
        self._folder = folder
        self._repositories: dict[str, dict[str, Any]] = json.loads(
            folder.read(REPOSITORIES_FILE) or b"{}"
        )
        self._secrets: list[dict[str, Any]] = json.loads(folder.read(SECRETS_FILE) or b"[]")
        self._lock = threading.Lock()

    def replay(self) -> None:
        """Sends every recorded request to moto."""
        client = Client(self._moto)
        for request in self._requests():
            service = _SIGNING_NAMES[request.target.partition(".")[0]]
            signed = f"AWS4-HMAC-SHA256 Credential=sandbox/20260101/{REGION}/{service}/aws4_request"
            client.post(
                "/",
                data=json.dumps(request.body),
                content_type="application/x-amz-json-1.1",
                headers={"X-Amz-Target": request.target, "Authorization": signed},
            ).close()
            if request.at is not None:
                _parameter(request.body).last_modified_date = datetime.fromisoformat(request.at)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        if target not in RECORDED:
            return self._moto(environ, start_response)
        raw = read_body(environ)
        status = ""

        def started(line: str, headers: Any, exc_info: Any = None) -> Any:
            nonlocal status
            status = line
            return start_response(line, headers, exc_info)

        # Requests are recorded in the order in which moto applied them.
        with self._lock:
            answer = list(self._moto(environ, started))
            if status.startswith("200"):
                self._record(target, json.loads(raw or b"{}"))
        return answer

    def _requests(self) -> Iterator[Request]:
        for recorded in self._secrets:
            yield Request(recorded["target"], recorded["body"], recorded.get("at"))
        for actions in self._repositories.values():
            for action, body in actions.items():
                yield Request(f"{ECR}.{action}", body)

    def _record(self, target: str, body: dict[str, Any]) -> None:
        if target.startswith(f"{ECR}."):
            self._record_repository(target, body)
        else:
            self._record_secret(target, body)

    def _record_repository(self, target: str, body: dict[str, Any]) -> None:
        repository = body["repositoryName"]
        if target == DELETE_REPOSITORY:
            self._repositories.pop(repository, None)
        else:
            action = target.removeprefix(f"{ECR}.")
            self._repositories.setdefault(repository, {})[action] = body
        text = json.dumps(self._repositories, indent=2) + "\n"
        self._folder.write(REPOSITORIES_FILE, text.encode(), mode=0o600)

    def _record_secret(self, target: str, body: dict[str, Any]) -> None:
        recorded: dict[str, Any] = {"target": target, "body": body}
        if target == PUT_PARAMETER:
            # The deploy tool tells versions of a parameter apart by their time too.
            recorded["at"] = _parameter(body).last_modified_date.isoformat()
        self._secrets.append(recorded)
        self._folder.write(SECRETS_FILE, json.dumps(self._secrets).encode(), mode=0o600)


def read_body(environ: WSGIEnvironment) -> bytes:
    """Returns a request's body and leaves it readable for the next WSGI application."""
    raw: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(raw)
    return raw


def _parameter(body: dict[str, Any]) -> Any:
    return ssm_backends[ACCOUNT][REGION]._parameters[body["Name"]][-1]  # noqa: SLF001 - moto has no public way
