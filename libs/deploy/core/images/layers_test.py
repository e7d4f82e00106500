import hashlib
import io
import tarfile
from datetime import date

import pytest

from deploy.core.images.layers import write_layer
from deploy.core.images.recipes import (
    Owned,
    OwnFile,
    Recipe,
)
from deploy.errors import BuildError

RECIPE = Recipe(
    name="sample",
    key="0" * 12,
    suite="trixie",
    day=date(2026, 11, 22),
    packages=(),
    drop=("usr/share/ca",),
    links={"usr/bin/python3": "python3.13"},
    folders={"data": Owned(0o700, 10001, 10001)},
    joins={"etc/ca.crt": "usr/share/ca/*.crt"},
    files=(OwnFile("usr/bin/check", b"#!", True), OwnFile("etc/passwd", b"ours", False)),
)


def _system(mtime: int = 5, uname: str = "somebody") -> io.BytesIO:
    """A tar such as mmdebstrap writes; its times and owners depend on the machine."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as system:
        for name, data in (
            ("./etc/passwd", b"theirs"),
            ("./etc/resolv.conf", b"nameserver of this machine"),
            ("./usr/bin/python3.13", b"elf"),
            ("./usr/share/ca/b.crt", b"B"),
            ("./usr/share/ca/a.crt", b"A"),
            ("./usr/lib/unwanted.so", b"so"),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname = len(data), mtime, uname
            system.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("./usr/bin/py")
        link.type, link.linkname = tarfile.LNKTYPE, "./usr/bin/python3.13"
        system.addfile(link)
    content.seek(0)
    return content


def _layer(system: io.BytesIO) -> tuple[bytes, str, int]:
    target = io.BytesIO()
    written = write_layer(
        RECIPE, system, target, absent={"usr/lib/unwanted.so"}, status=b"Package: python"
    )
    return target.getvalue(), written.digest, written.size


def _read(layer: bytes) -> dict[str, bytes | str]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as members:
        return {
            each.name: each.linkname if each.islnk() or each.issym() else _content(members, each)
            for each in members
        }


def _content(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    reader = members.extractfile(member)
    return reader.read() if reader else b""


def test_layer_contains_what_the_recipe_names() -> None:
    layer, _, _ = _layer(_system())
    assert _read(layer) == {
        "usr/bin/python3.13": b"elf",
        "usr/bin/py": "usr/bin/python3.13",
        "data": b"",
        "usr/bin/python3": "python3.13",
        "etc/ca.crt": b"AB",
        "etc/passwd": b"ours",
        "usr/bin/check": b"#!",
        "var/lib/dpkg/status": b"Package: python",
    }


def test_equal_content_gives_an_equal_layer() -> None:
    one, two = _layer(_system()), _layer(_system(mtime=7, uname="another"))
    assert one == two


def test_digest_and_size_are_those_of_the_bytes() -> None:
    layer, digest, size = _layer(_system())
    assert digest == f"sha256:{hashlib.sha256(layer).hexdigest()}"
    assert size == len(layer)


def test_modes_owners_and_times_come_from_the_recipe() -> None:
    layer, _, _ = _layer(_system())
    with tarfile.open(fileobj=io.BytesIO(layer)) as members:
        data, check = members.getmember("data"), members.getmember("usr/bin/check")
        times = {each.mtime for each in members}
    assert (data.mode, data.uid, data.gid) == (0o700, 10001, 10001)
    assert (check.mode, check.uid) == (0o755, 0)
    assert times == {RECIPE.epoch}


def test_hard_link_to_a_dropped_file_is_refused() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as system:
        link = tarfile.TarInfo("./usr/bin/link")
        link.type, link.linkname = tarfile.LNKTYPE, "./usr/share/ca/target"
        system.addfile(link)
    made.seek(0)
    with pytest.raises(BuildError, match="hard link to usr/share/ca/target"):
        _layer(made)
