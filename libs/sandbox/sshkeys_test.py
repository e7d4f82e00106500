"""Keys and known_hosts as paramiko reads them."""

from __future__ import annotations

import io
from pathlib import Path

import paramiko

from sandbox import sshkeys


def test_the_public_line_fits_the_private_key() -> None:
    private = sshkeys.make_key()
    key = paramiko.Ed25519Key.from_private_key(io.StringIO(private.decode()))
    assert f"{key.get_name()} {key.get_base64()}" == sshkeys.public_line(private)


def test_known_hosts_has_each_host_at_its_own_port(tmp_path: Path) -> None:
    one, two = (sshkeys.public_line(sshkeys.make_key()) for _ in range(2))
    file = tmp_path / "known_hosts"
    file.write_text(sshkeys.known_hosts([("127.0.0.1", 2201, one), ("127.0.0.1", 22, two)]))
    known = paramiko.HostKeys(str(file))
    assert _base64(known, "[127.0.0.1]:2201") == one.split()[1]
    assert _base64(known, "127.0.0.1") == two.split()[1]
    assert known.lookup("[127.0.0.1]:2202") is None


def _base64(known: paramiko.HostKeys, host: str) -> str:
    found = known.lookup(host)
    assert found is not None
    return found["ssh-ed25519"].get_base64()
