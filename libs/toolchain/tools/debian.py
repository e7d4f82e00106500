"""Downloads and unpacks Debian packages aside, as any user; it never installs into the machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from toolchain.errors import PersonNeededError, ToolchainError
from toolchain.process import run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "PY_CICD_DEBIAN_MIRROR"


def mirror(environ: Mapping[str, str], etc: Path = Path("/etc")) -> str:
    """The Debian mirror this machine uses, for mmdebstrap as well as for us.

    Raise where apt's own configuration names none (Ubuntu) and the variable doesn't either: which mirror
    to trust is the user's choice.
    """
    found = environ.get(MIRROR_VARIABLE) or next(_mirrors(etc / "apt"), "")
    if not found:
        raise PersonNeededError(
            "This machine's apt knows no Debian mirror, and base images are made of Debian's packages.",
            "Nothing was changed.",
            f"{MIRROR_VARIABLE}=http://MIRROR/debian ./ship doctor --fix",
        )
    return found


def _mirrors(apt: Path) -> Iterator[str]:
    """Archives of Debian proper: their address ends with /debian, which security's does not."""
    sources = [*sorted(apt.glob("sources.list.d/*.sources")), apt / "sources.list"]
    for path in [*sources, *sorted(apt.glob("sources.list.d/*.list"))]:
        if path.is_file():
            text = re.sub(r"(?m)^\s*#.*$", "", path.read_text(errors="replace"))
            for address in re.findall(r"\b[a-z+]+:/\S+", text):
                if address.rstrip("/").endswith("/debian"):
                    yield address


def apt_configuration(home: Path) -> str:
    """An apt configuration that reads and writes under `home` alone."""
    return "\n".join(
        [
            f'Dir::Etc::sourcelist "{home}/sources.list";',
            'Dir::Etc::sourceparts "-";',
            'Dir::Etc::preferencesparts "-";',
            f'Dir::State "{home}";',
            f'Dir::State::status "{home}/status";',
            f'Dir::Cache "{home}/cache";',
            'APT::Sandbox::User "";',  # as any user, and _apt can't read a home folder
            'APT::Get::List-Cleanup "0";',
            'Acquire::Languages "none";',
            'Acquire::Retries "3";',
            # Old releases stay signed and unchanged long after their file says it is too old.
            'Acquire::Check-Valid-Until "0";',
            "",
        ]
    )


def source_line(suite: str, address: str) -> str:
    """One apt source, verified with Debian's own archive keys."""
    return f"deb [signed-by={KEYRING}] {address} {suite} main\n"


def unpack(suite: str, packages: tuple[str, ...], address: str, aside: Path, root: Path) -> None:
    """Download `packages` of `suite` and unpack them under `root`; `aside` is removed again."""
    _need_debian()
    for folder in ("lists/partial", "cache/archives/partial", "debs"):
        (aside / folder).mkdir(parents=True)
    (aside / "status").touch()
    (aside / "sources.list").write_text(source_line(suite, address))
    (aside / "apt.conf").write_text(apt_configuration(aside))
    apt = ["apt-get", "-c", str(aside / "apt.conf"), "-q"]
    run([*apt, "update"], f"read the list of Debian {suite}'s packages")
    run([*apt, "download", *packages], f"download Debian {suite}'s packages", cwd=aside / "debs")
    root.mkdir(parents=True, exist_ok=True)
    for package in sorted((aside / "debs").glob("*.deb")):
        run(["dpkg", "-x", str(package), str(root)], f"unpack {package.name}")
    shutil.rmtree(aside)


def _need_debian() -> None:
    for need, package in (("apt-get", "apt"), ("dpkg", "dpkg")):
        if shutil.which(need) is None:
            raise ToolchainError(
                f"This machine has no {need}: the Pythons come from Debian's packages.",
                "Nothing was changed.",
                f"use Debian 12 or 13 or Ubuntu 24.04 on x86-64 (or install {package})",
            )
    if not KEYRING.is_file():
        raise ToolchainError(
            f"Debian's archive keys are not at {KEYRING}.",
            "Nothing was changed.",
            "sudo apt-get install debian-archive-keyring",
        )
