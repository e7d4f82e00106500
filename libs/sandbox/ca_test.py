"""The CA's certificates in a real TLS handshake."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from sandbox import ca

NAMES = ("registry.test", "127.0.0.1")


class _Pair:
    """A CA and a server certificate that it signed."""

    def __init__(self) -> None:
        self.ca_key = ca.make_key()
        self.ca_certificate = ca.make_ca(self.ca_key, "a test")
        self.key = ca.make_key()
        self.certificate = ca.make_certificate(self.ca_certificate, self.ca_key, self.key, NAMES)

    def is_valid(self, certificate: bytes | None, names: tuple[str, ...] = NAMES) -> bool:
        return ca.is_valid(certificate, self.key, self.ca_certificate, names)


@pytest.fixture(scope="module")
def pair() -> _Pair:
    return _Pair()


def _handshake(pair: _Pair, name: str, folder: Path, trusted: bytes) -> None:
    certificate, key = folder / "crt", folder / "key"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = ssl.create_default_context(cadata=trusted.decode())
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    done = set[str]()
    while len(done) < 2:
        for name_of_end, end in (("client", client), ("server", server)):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            done.add(name_of_end)


@pytest.mark.parametrize("name", NAMES)
def test_a_certificate_is_accepted_under_each_of_its_names(
    pair: _Pair, name: str, tmp_path: Path
) -> None:
    _handshake(pair, name, tmp_path, pair.ca_certificate)


def test_a_certificate_is_rejected_under_another_name(pair: _Pair, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        _handshake(pair, "elsewhere.test", tmp_path, pair.ca_certificate)


def test_a_certificate_is_rejected_by_clients_that_trust_another_ca(
    pair: _Pair, tmp_path: Path
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(pair, NAMES[0], tmp_path, _Pair().ca_certificate)


def test_a_certificate_is_valid_for_a_subset_of_its_names(pair: _Pair) -> None:
    assert pair.is_valid(pair.certificate)
    assert pair.is_valid(pair.certificate, NAMES[:1])
    assert not pair.is_valid(pair.certificate, (*NAMES, "host-9"))


def test_a_missing_certificate_or_one_of_another_ca_or_key_is_invalid(pair: _Pair) -> None:
    other = _Pair()
    assert not pair.is_valid(None)
    assert not pair.is_valid(other.certificate)
    mixed = ca.make_certificate(pair.ca_certificate, pair.ca_key, other.key, NAMES)
    assert not pair.is_valid(mixed)
