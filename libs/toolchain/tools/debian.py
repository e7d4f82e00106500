"""Downloads Debian packages and unpacks them into a folder. Needs no root and installs nothing on the machine."""

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
    """Returns the address of the Debian mirror: the variable's value, else the one in apt's configuration.

    Raises PersonNeededError if neither names one (as on Ubuntu), because the user has to choose a mirror to trust.
    """
    address = environ.get(MIRROR_VARIABLE) or next(_mirrors(etc / "apt"), "")
    if not address:
        raise PersonNeededError(
            "apt on this machine is configured without a Debian mirror, which the tools and base images come from.",
            "Nothing was changed.",
            f"{MIRROR_VARIABLE}=http://MIRROR/debian ./ship doctor --fix",
        )
    return address


def _mirrors(apt: Path) -> Iterator[str]:
    """Yields the main archives in apt's configuration, whose addresses end with /debian. Those of security don't."""
    sources = [*sorted(apt.glob("sources.list.d/*.sources")), apt / "sources.list"]
    for path in [*sources, *sorted(apt.glob("sources.list.d/*.list"))]:
        if path.is_file():
            text = re.sub(r"(?m)^\s*#.*$", "", path.read_text(errors="replace"))
            for address in re.findall(r"\b[a-z+]+:/\S+", text):
                if address.rstrip("/").endswith("/debian"):
                    yield address


def apt_configuration(folder: Path) -> str:
    """Returns a configuration with which apt reads and writes only below `folder`."""
    return "\n".join(
        [
            f'Dir::Etc::sourcelist "{folder}/sources.list";',
            'Dir::Etc::sourceparts "-";',
            'Dir::Etc::preferencesparts "-";',
            f'Dir::State "{folder}";',
            f'Dir::State::status "{folder}/status";',
            f'Dir::Cache "{folder}/cache";',
            'APT::Sandbox::User "";',  # the user _apt can't read home folders
            'APT::Get::List-Cleanup "0";',
            'Acquire::Languages "none";',
            'Acquire::Retries "3";',
            # The release files of old suites expire, but remain signed.
            'Acquire::Check-Valid-Until "0";',
            "",
        ]
    )


def source_line(suite: str, address: str) -> str:
    """Returns an apt source whose packages are verified with Debian's archive keys."""
    return f"deb [signed-by={KEYRING}] {address} {suite} main\n"


def unpack(suite: str, packages: tuple[str, ...], address: str, work: Path, root: Path) -> None:
    """Downloads packages of a suite to `work`, unpacks them below `root` and removes `work`.

    Raises ToolchainError if apt or dpkg is missing or fails.
    """
    _require_debian()
    for folder in ("lists/partial", "cache/archives/partial", "debs"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(source_line(suite, address))
    (work / "apt.conf").write_text(apt_configuration(work))
    apt = ["apt-get", "-c", str(work / "apt.conf"), "-q"]
    run([*apt, "update"], f"update the package lists of Debian {suite}")
    run([*apt, "download", *packages], f"download packages of Debian {suite}", cwd=work / "debs")
    root.mkdir(parents=True, exist_ok=True)
    for package in sorted((work / "debs").glob("*.deb")):
        run(["dpkg", "-x", str(package), str(root)], f"unpack {package.name}")
    shutil.rmtree(work)


def _require_debian() -> None:
    for command, package in (("apt-get", "apt"), ("dpkg", "dpkg")):
        if shutil.which(command) is None:
            raise ToolchainError(
                f"This machine has no {command}, which unpacks tools from Debian's packages.",
                "Nothing was changed.",
                f"use Debian 12 or 13 or Ubuntu 24.04 on x86-64 (or install {package})",
            )
    if not KEYRING.is_file():
        raise ToolchainError(
            f"Debian's archive keys are missing: {KEYRING}.",
            "Nothing was changed.",
            "sudo apt-get install debian-archive-keyring",
        )
