"""What the authority signs, put to a real TLS handshake."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from sandbox import ca

NAMES = ("registry.test", "127.0.0.1")


class _Pair:
    def __init__(self) -> None:
        self.authority_key = ca.make_key()
        self.authority = ca.make_authority(self.authority_key, "a test")
        self.key = ca.make_key()
        self.certificate = ca.make_certificate(self.authority, self.authority_key, self.key, NAMES)

    def good(self, certificate: bytes | None, names: tuple[str, ...] = NAMES) -> bool:
        return ca.still_good(certificate, self.key, self.authority, names)


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
        for who, end in (("client", client), ("server", server)):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            done.add(who)


@pytest.mark.parametrize("name", NAMES)
def test_is_believed_under_each_of_its_names(pair: _Pair, name: str, tmp_path: Path) -> None:
    _handshake(pair, name, tmp_path, pair.authority)


def test_is_refused_under_another_name(pair: _Pair, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        _handshake(pair, "elsewhere.test", tmp_path, pair.authority)


def test_is_refused_by_whoever_trusts_another_authority(pair: _Pair, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(pair, NAMES[0], tmp_path, _Pair().authority)


def test_stays_good_for_fewer_names_but_not_for_more(pair: _Pair) -> None:
    assert pair.good(pair.certificate)
    assert pair.good(pair.certificate, NAMES[:1])
    assert not pair.good(pair.certificate, (*NAMES, "host-9"))


def test_is_no_longer_good_when_missing_or_of_another_generation(pair: _Pair) -> None:
    other = _Pair()
    assert not pair.good(None)
    assert not pair.good(other.certificate)
    mixed = ca.make_certificate(pair.authority, pair.authority_key, other.key, NAMES)
    assert not pair.good(mixed)
