"""Remembers a sandbox's parameters and secrets over a restart of moto, which keeps nothing; never answers for it.

What changed one is written down as it was asked and said to moto again, in the same order: versions come out the
same, and what is deployed from them is still the wanted configuration.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from moto.ssm.models import ssm_backends
from werkzeug.test import Client

from sandbox.credentials import ACCOUNT, REGION
from sandbox.state import Folder

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MEMORY = "secrets.json"
CHANGING = {
    "AmazonSSM.DeleteParameter",
    "AmazonSSM.DeleteParameters",
    "AmazonSSM.LabelParameterVersion",
    "AmazonSSM.PutParameter",
    "secretsmanager.CreateSecret",
    "secretsmanager.DeleteSecret",
    "secretsmanager.PutSecretValue",
    "secretsmanager.RestoreSecret",
    "secretsmanager.UpdateSecret",
}


class KeptSecrets:
    """A WSGI application around moto's that writes down what changes a parameter or a secret."""

    def __init__(self, inner: WSGIApplication, place: Folder) -> None:
        self._inner = inner
        self._place = place
        self._requests: list[dict[str, Any]] = json.loads(place.read(MEMORY) or b"[]")
        self._one_at_a_time = threading.Lock()

    def replay(self) -> None:
        """Says everything that was remembered to moto again."""
        client = Client(self._inner)
        for request in self._requests:
            target = request["target"]
            service = "ssm" if target.startswith("AmazonSSM.") else "secretsmanager"
            signed = f"AWS4-HMAC-SHA256 Credential=sandbox/20260101/{REGION}/{service}/aws4_request"
            client.post(
                "/",
                data=json.dumps(request["body"]),
                content_type="application/x-amz-json-1.1",
                headers={"X-Amz-Target": target, "Authorization": signed},
            ).close()
            if "at" in request:
                _parameter(request["body"]).last_modified_date = datetime.fromisoformat(
                    request["at"]
                )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        if target not in CHANGING:
            return self._inner(environ, start_response)
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(raw)
        status = ""

        def started(line: str, headers: Any, exc_info: Any = None) -> Any:
            nonlocal status
            status = line
            return start_response(line, headers, exc_info)

        with self._one_at_a_time:
            answer = list(self._inner(environ, started))
            if status.startswith("200"):
                self._keep(target, json.loads(raw or b"{}"))
        return answer

    def _keep(self, target: str, body: dict[str, Any]) -> None:
        request: dict[str, Any] = {"target": target, "body": body}
        if target == "AmazonSSM.PutParameter":
            # The time of a version is a part of what tells it from another one.
            request["at"] = _parameter(body).last_modified_date.isoformat()
        self._requests.append(request)
        self._place.write(MEMORY, json.dumps(self._requests).encode(), mode=0o600)


def _parameter(body: dict[str, Any]) -> Any:
    return ssm_backends[ACCOUNT][REGION]._parameters[body["Name"]][-1]  # noqa: SLF001 - moto has no other way
