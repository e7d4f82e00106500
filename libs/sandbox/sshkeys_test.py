"""Keys and pins as paramiko reads them."""

from __future__ import annotations

import io
from pathlib import Path

import paramiko

from sandbox import sshkeys


def test_a_private_key_loads_and_has_the_public_half_that_we_say() -> None:
    private = sshkeys.make_key()
    key = paramiko.Ed25519Key.from_private_key(io.StringIO(private.decode()))
    assert f"{key.get_name()} {key.get_base64()}" == sshkeys.public_line(private)


def test_each_host_is_pinned_at_its_own_port(tmp_path: Path) -> None:
    one, two = (sshkeys.public_line(sshkeys.make_key()) for _ in range(2))
    file = tmp_path / "known_hosts"
    file.write_text(sshkeys.known_hosts([("127.0.0.1", 2201, one), ("127.0.0.1", 22, two)]))
    pinned = paramiko.HostKeys(str(file))
    assert _base64(pinned, "[127.0.0.1]:2201") == one.split()[1]
    assert _base64(pinned, "127.0.0.1") == two.split()[1]
    assert pinned.lookup("[127.0.0.1]:2202") is None


def _base64(pinned: paramiko.HostKeys, host: str) -> str:
    found = pinned.lookup(host)
    assert found is not None
    return found["ssh-ed25519"].get_base64()
