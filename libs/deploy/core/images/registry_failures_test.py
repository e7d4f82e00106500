"""Tests of explanations, with lines that clients and registries have printed."""

from __future__ import annotations

import pytest

from deploy.core.images.registry_failures import RegistryFailure, explain, failure_of

GET = 'Error response from daemon: Get "https://registry.example:5000/v2/": '
LINES = {
    RegistryFailure.NAME: [
        GET + "dial tcp: lookup registry.example on 127.0.0.11:53: no such host",
        GET + "dial tcp: lookup registry.example: Temporary failure in name resolution",
        GET + "dial tcp: lookup registry.example on 10.0.0.2:53: server misbehaving",
        GET + "dial tcp: lookup registry.example on 10.0.0.2:53: read udp: i/o timeout: no such host",
        "[Errno -2] Name or service not known",
    ],
    RegistryFailure.CONNECT: [
        GET + "dial tcp 10.0.0.3:5000: connect: connection refused",
        GET + "dial tcp 10.0.0.3:5000: i/o timeout",
        GET + "dial tcp 10.0.0.3:5000: connect: no route to host",
        GET + "net/http: request canceled while waiting for connection (Client.Timeout exceeded)",
        GET + "context deadline exceeded",
        GET + "EOF",
        "[Errno 111] Connection refused",
        "timed out",
        "Remote end closed connection without response",
    ],
    RegistryFailure.TLS: [
        GET + "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        GET + "http: server gave HTTP response to HTTPS client",
        GET + "remote error: tls: handshake failure",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1028)",
    ],
    RegistryFailure.LOGIN: [
        GET + "unauthorized: authentication required",
        "Error response from daemon: login attempt to https://r.example/v2/ failed with status: 401 Unauthorized",
        "Error response from daemon: Head ...: no basic auth credentials",
        "denied: Your authorization token has expired. Reauthenticate and try again.",
    ],
    RegistryFailure.DENIED: [
        "denied: User: arn:aws:iam::1:user/x is not authorized to perform: ecr:BatchGetImage",
        "failed with status: 403 Forbidden",
        "pull access denied for app, repository does not exist or may require 'docker login': denied",
    ],
    RegistryFailure.MISSING: [
        "manifest unknown: Requested image not found",
        "Error response from daemon: manifest for app@sha256:1 not found",
        "name unknown: The repository with name 'app' does not exist in the registry with id '1'",
    ],
    RegistryFailure.BUSY: [
        "toomanyrequests: Rate exceeded",
        "error pulling image configuration: download failed: 429 Too Many Requests",
    ],
    RegistryFailure.SERVER: [
        "Error response from daemon: received unexpected HTTP status: 503 Service Unavailable",
        "received unexpected HTTP status: 502 Bad Gateway",
    ],
    RegistryFailure.OTHER: [
        "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
        "it printed no reason",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [(line, failure) for failure, lines in LINES.items() for line in lines],
)
def test_a_line_tells_the_kind_of_failure(line: str, expected: RegistryFailure) -> None:
    assert failure_of(line) is expected


@pytest.mark.parametrize("failure", RegistryFailure)
def test_each_kind_has_its_own_explanation_and_step(failure: RegistryFailure) -> None:
    found = explain(failure, "registry.example:5000")
    assert "registry.example" in found.what
    others = [explain(other, "registry.example:5000") for other in RegistryFailure]
    assert [other.what for other in others].count(found.what) == 1
    assert [other.hint for other in others].count(found.hint) == 1
