"""AWS for a sandbox: moto, its ECR kept in step with the registry, its secrets kept; a process of its own.

`python -m sandbox.aws.server FOLDER` serves on the port that the sandbox's folder names, until it is ended.
moto keeps nothing over a restart: how repositories were set up is written down here and said to it again.
"""

from __future__ import annotations

import io
import json
import logging
import os
import ssl
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.ecr.models import ecr_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client

from sandbox.aws.ecr_sync import Mirror
from sandbox.aws.push_proxy import (
    Gate,
    Judge,
    Refusal,
    Registry,
)
from sandbox.aws.secrets_journal import KeptSecrets
from sandbox.aws_process import announce
from sandbox.credentials import ACCOUNT, REGION
from sandbox.ports import ADDRESS, FILE
from sandbox.state import Folder

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TARGET = "AmazonEC2ContainerRegistry_V20150921."
MEMORY = "ecr.json"
ASKING = {
    "BatchGetImage",
    "DescribeImages",
    "DescribeImageScanFindings",
    "ListImages",
    "StartImageScan",
}
DELETING = {"BatchDeleteImage", "DeleteRepository"}
SETTING = {
    "CreateRepository",
    "PutImageScanningConfiguration",
    "PutImageTagMutability",
    "PutLifecyclePolicy",
    "SetRepositoryPolicy",
}


class Memory:
    """How each repository was set up: the last request of each kind, in the order of their first."""

    def __init__(self, place: Folder) -> None:
        self._place = place
        self._requests: dict[str, dict[str, Any]] = json.loads(place.read(MEMORY) or b"{}")

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for repository in self._requests.values():
            yield from repository.items()

    def keep(self, action: str, body: dict[str, Any]) -> None:
        """Writes down a request that moto granted."""
        repository = body["repositoryName"]
        if action == "DeleteRepository":
            self._requests.pop(repository, None)
        else:
            self._requests.setdefault(repository, {})[action] = body
        text = json.dumps(self._requests, indent=2) + "\n"
        self._place.write(MEMORY, text.encode(), mode=0o600)


class ControlPlane:
    """A WSGI application around moto's: looks at the registry before it answers, and remembers."""

    def __init__(self, inner: WSGIApplication, mirror: Mirror, memory: Memory) -> None:
        self._inner = inner
        self._mirror = mirror
        self._memory = memory
        self._one_at_a_time = threading.RLock()

    def replay(self) -> None:
        """Says everything that was remembered to moto again."""
        client = Client(self._inner)
        day = "20260101"
        signed = f"AWS4-HMAC-SHA256 Credential=sandbox/{day}/{REGION}/ecr/aws4_request"
        for action, body in self._memory:
            headers = {"X-Amz-Target": TARGET + action, "Authorization": signed}
            client.post(
                "/",
                data=json.dumps(body),
                content_type="application/x-amz-json-1.1",
                headers=headers,
            ).close()

    def judge(self, repository: str, reference: str, digest: str) -> Refusal | None:
        """Says what ECR says to a push: of an image by its digest, or, all but `repository` "", of a layer."""
        with self._one_at_a_time:
            self._mirror.refresh(repository)
            known = self._mirror.digest_of(repository, reference) if reference else None
            if not self._mirror.has(repository):
                message = f"The repository with name '{repository}' does not exist in the registry with id '{ACCOUNT}'"
                return Refusal(404, "NAME_UNKNOWN", message)
            if known not in (None, digest) and self._mirror.is_immutable(repository):
                message = (
                    f"The image tag '{reference}' already exists in the '{repository}' repository and cannot be"
                    " overwritten because the tag is immutable."
                )
                return Refusal(400, "TAG_INVALID", message)
        return None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        if not target.startswith(TARGET):
            return self._inner(environ, start_response)
        action = target.removeprefix(TARGET)
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(raw)
        body: dict[str, Any] = json.loads(raw or b"{}")
        with self._one_at_a_time:
            return self._answer(action, body, environ, start_response)

    def _answer(
        self,
        action: str,
        body: dict[str, Any],
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        repository = str(body.get("repositoryName", ""))
        if action in ASKING | DELETING:
            self._mirror.refresh(repository)
        status = ""

        def started(line: str, headers: Any, exc_info: Any = None) -> Any:
            nonlocal status
            status = line
            return start_response(line, headers, exc_info)

        if action in DELETING:
            with self._mirror.deleting(repository):
                answer = list(self._inner(environ, started))
        else:
            answer = list(self._inner(environ, started))
        if status.startswith("200") and (action in SETTING or action == "DeleteRepository"):
            self._memory.keep(action, body)
        return answer


class _Quiet(WSGIRequestHandler):
    """Keeps the log for what went wrong."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


def make_application(place: Folder, registry_port: int) -> ControlPlane:
    """Makes the control plane of a sandbox's folder, with what it remembers."""
    backend = ecr_backends[ACCOUNT][REGION]
    mirror = Mirror(f"https://{ADDRESS}:{registry_port}", str(place.path / "ca.crt"), backend)
    inner = KeptSecrets(DomainDispatcherApplication(create_backend_app), place)
    inner.replay()
    application = ControlPlane(inner, mirror, Memory(place))
    application.replay()
    return application


def make_gate(place: Folder, port: int, registry_port: int, judge: Judge) -> Gate:
    """Makes the gate of a sandbox's folder; it has the registry's own certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(place.path / "registry.crt", place.path / "registry.key")
    trust = ssl.create_default_context(cafile=str(place.path / "ca.crt"))
    return Gate(port, tls, Registry(registry_port, trust), judge)


def main() -> None:
    """Serves for ever."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    path = Path(sys.argv[1])
    place = Folder(path.name, path)
    os.chdir("/")
    announce()
    ports = json.loads(place.read(FILE) or b"{}")
    application = make_application(place, ports["registry"])
    gate = make_gate(place, ports["pushes"], ports["registry"], application.judge)
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    server = make_server(
        ADDRESS, ports["control plane"], application, threaded=True, request_handler=_Quiet
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
