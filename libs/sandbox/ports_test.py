"""Ports of the real loopback interface."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sandbox import ports
from sandbox.state import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder("test", tmp_path)


def test_a_purpose_keeps_its_port_while_it_is_not_in_use(folder: Folder) -> None:
    first = ports.claim(folder, ["registry", "host-1 ssh", "host-2 ssh"])
    ports.claim(folder, ["registry"])
    assert ports.claim(folder, ["host-2 ssh"])["host-2 ssh"] == first["host-2 ssh"]


def test_ports_differ_and_lie_below_the_ephemeral_range(
    folder: Folder,
) -> None:
    claimed = ports.claim(folder, [f"host-{number} ssh" for number in range(40)]).values()
    assert len(set(claimed)) == 40
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(ports.LOWEST <= port < lowest for port in claimed)


def test_the_error_names_the_taken_port_and_the_fix() -> None:
    with socket.create_server((ports.ADDRESS, 0)) as listening:
        taken = listening.getsockname()[1]
        with pytest.raises(ports.PortTakenError) as caught:
            ports.require_free("blue", {"host-1 http": taken})
    assert f"port {taken} of 127.0.0.1" in caught.value.message
    assert "host-1 http" in caught.value.message
    assert "ship down --sandbox blue" in caught.value.hint
    ports.require_free("blue", {"host-1 http": taken})
