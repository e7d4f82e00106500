"""The AWS server of a sandbox: moto, with ECR in sync with the registry, state that survives restarts, a push proxy.

`python -m sandbox.aws.server FOLDER` serves on the ports that the sandbox's folder names, until it is terminated.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from moto.ecr.models import ecr_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox import ports
from sandbox.aws.ecr_sync import EcrSync
from sandbox.aws.push_proxy import (
    Push,
    PushCheck,
    PushProxy,
    Refusal,
    UpstreamRegistry,
)
from sandbox.aws.request_journal import ECR, RequestJournal, read_body
from sandbox.aws_process import announce
from sandbox.credentials import ACCOUNT, REGION
from sandbox.state import Folder

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

READS_IMAGES = {
    "BatchGetImage",
    "DescribeImages",
    "DescribeImageScanFindings",
    "ListImages",
    "StartImageScan",
}
DELETES_IMAGES = {"BatchDeleteImage", "DeleteRepository"}


class AwsApplication:
    """A WSGI application in front of moto's that syncs ECR with the registry around each request about images."""

    def __init__(self, inner: WSGIApplication, sync: EcrSync) -> None:
        self._inner = inner
        self._sync = sync
        self._lock = threading.RLock()

    def check_push(self, push: Push) -> Refusal | None:
        """Returns ECR's answer to a push that it would refuse, None to one that it would accept."""
        repository, tag = push
        with self._lock:
            self._sync.pull(repository)
            if not self._sync.has(repository):
                message = f"The repository with name '{repository}' does not exist in the registry with id '{ACCOUNT}'"
                return Refusal(404, "NAME_UNKNOWN", message)
            stored = None if tag is None else self._sync.digest_of(repository, tag)
            if stored is not None and self._sync.is_immutable(repository):
                message = (
                    f"The image tag '{tag}' already exists in the '{repository}' repository and cannot be"
                    " overwritten because the tag is immutable."
                )
                return Refusal(400, "TAG_INVALID", message)
        return None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        service, _, action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if service != ECR:
            return self._inner(environ, start_response)
        repository = str(json.loads(read_body(environ) or b"{}").get("repositoryName", ""))
        with self._lock:
            if action in READS_IMAGES | DELETES_IMAGES:
                self._sync.pull(repository)
            if action in DELETES_IMAGES:
                with self._sync.propagating_deletions(repository):
                    return list(self._inner(environ, start_response))
            return list(self._inner(environ, start_response))


class _QuietHandler(WSGIRequestHandler):
    """Logs errors, not requests."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


def make_application(folder: Folder, registry_port: int) -> AwsApplication:
    """Makes the AWS application of a sandbox, in the state that its folder records."""
    journal = RequestJournal(DomainDispatcherApplication(create_backend_app), folder)
    journal.replay()
    registry, ca_file = f"https://{ports.ADDRESS}:{registry_port}", str(folder.path / "ca.crt")
    return AwsApplication(journal, EcrSync(registry, ca_file, ecr_backends[ACCOUNT][REGION]))


def make_push_proxy(folder: Folder, port: int, registry_port: int, check: PushCheck) -> PushProxy:
    """Makes the push proxy of a sandbox. It presents the registry's own certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder.path / "registry.crt", folder.path / "registry.key")
    trust = ssl.create_default_context(cafile=str(folder.path / "ca.crt"))
    return PushProxy(port, tls, UpstreamRegistry(registry_port, trust), check)


def main() -> None:
    """Serves until the process is terminated."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    path = Path(sys.argv[1])
    folder = Folder(path.name, path)
    os.chdir("/")
    announce()
    claimed = json.loads(folder.read(ports.FILE) or b"{}")
    application = make_application(folder, claimed["registry"])
    proxy = make_push_proxy(
        folder, claimed[ports.PUSH_PROXY], claimed["registry"], application.check_push
    )
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    server = make_server(
        ports.ADDRESS,
        claimed[ports.AWS_SERVER],
        application,
        threaded=True,
        request_handler=_QuietHandler,
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
