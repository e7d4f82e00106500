"""Resolves the values of secrets: fetches each once per call of the tool, and writes them to hosts over stdin.

For values whose store keeps no versions the version is an HMAC. Its key lies on the hosts beside the values: anyone who
can read the key can read what it protects.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence

from deploy.core.commands import paths, secret_files
from deploy.core.commands.files import tar_of
from deploy.core.config import SecretRef
from deploy.core.ports import Host, SecretStore
from deploy.core.state.redaction import Redaction
from deploy.core.state.release import Release
from deploy.core.state.secrets import (
    Found,
    Missing,
    Pinned,
    Secret,
    field_of,
    version_of,
)
from deploy.errors import CommandError, MissingSecretsError, SecretStoreError
from deploy.run.hosts.fanout import side_by_side
from deploy.run.hosts.locked_host import LockedHost, last_line


class SecretResolver:
    """Secret stores by name, and the values fetched so far. `redact` removes all of these values from a text."""

    def __init__(
        self, stores: Mapping[str, SecretStore] | None = None, redaction: Redaction | None = None
    ) -> None:
        self._stores = stores or {}
        self.redact = redaction or Redaction()
        self._fetched: dict[tuple[str, str], Found | Missing] = {}
        self._key: Secret | None = None

    def find(self, owner: str, named: Mapping[str, SecretRef]) -> dict[str, Found]:
        """Returns the current value of each secret. Raises MissingSecretsError, naming every one that `owner` lacks."""
        self._fetch(named.values())
        found: dict[str, Found] = {}
        problems: list[str] = []
        for name, ref in named.items():
            value = self._value(ref)
            if isinstance(value, Found):
                found[name] = value
            else:
                problems.append(f"{owner}.secrets.{name}: {ref.store} {ref.key} {value.reason}")
        if problems:
            count = "a secret is" if len(problems) == 1 else f"{len(problems)} secrets are"
            raise MissingSecretsError(
                f"{count} missing for {owner}; nothing was changed",
                problems=tuple(problems),
                hint="put the value where service.toml names it, then run this again",
            )
        return found

    def learn(self, owner: str, named: Mapping[str, SecretRef]) -> str | None:
        """Fetches the values so that `redact` knows them. Returns why some can't be fetched, None if all can."""
        try:
            self.find(owner, named)
        except MissingSecretsError as error:
            return "; ".join(error.problems)
        except SecretStoreError as error:
            return error.message
        return None

    def pin(
        self, owner: str, named: Mapping[str, SecretRef], hosts: Sequence[Host]
    ) -> tuple[Pinned, ...]:
        """Returns the secrets of a new release, with their current versions."""
        found = self.find(owner, named)
        key = Secret("")
        if any(value.version is None for value in found.values()):
            key = self._key = self._key or _key_of(hosts)
            self.redact.know(key)
        return tuple(
            Pinned(
                name, ref.store, ref.key, ref.field, ref.into, version_of(name, found[name], key)
            )
            for name, ref in sorted(named.items())
        )

    def require(self, release: Release) -> dict[str, Secret]:
        """Returns the current values of the secrets in a release's record. Raises MissingSecretsError."""
        refs = {pin.name: pin.ref for pin in release.secrets}
        found = self.find(f"{release.service} {release.id}", refs)
        return {name: value.value for name, value in found.items()}

    def write(self, locked: LockedHost, release: Release) -> None:
        """Writes the current values into the release's folder on a host, where only its replicas can read them."""
        done = locked.host.run(secret_files.group())
        if done.code != 0:
            raise CommandError(f"{locked.name}: its user has no group: {last_line(done)}")
        files = secret_files.render_secret_files(
            release.secrets,
            self.require(release),
            group=done.stdout.strip(),
            salt=secrets.token_hex(16),
        )
        key = (("key", self._key.reveal(), 0o600),) if self._key else ()
        locked.run_checked(
            secret_files.place_secrets(paths.release_folder(release.service, release.id)),
            "writing secrets",
            stdin=tar_of((*key, *files)),
        )

    def _value(self, ref: SecretRef) -> Found | Missing:
        whole = self._fetched.get((ref.store, ref.key), Missing("is in an unknown store"))
        if isinstance(whole, Missing):
            return whole
        found = field_of(whole, ref.field)
        if isinstance(found, Missing):
            return found
        self.redact.know(found.value)
        return Missing("contains a NUL character") if "\0" in found.value.reveal() else found

    def _fetch(self, refs: Iterable[SecretRef]) -> None:
        missing: dict[str, list[str]] = {}
        for ref in refs:
            if (ref.store, ref.key) not in self._fetched:
                missing.setdefault(ref.store, []).append(ref.key)
        for name, keys in missing.items():
            if (store := self._stores.get(name)) is None:
                continue
            for key, value in store.fetch(dict.fromkeys(keys)).items():
                if isinstance(value, Found):
                    self.redact.know(value.value)
                self._fetched[name, key] = value


def _key_of(hosts: Sequence[Host]) -> Secret:
    """Returns the key that the hosts share, a new one if no host has any.

    If they differ, as when a host comes from another environment, one of the keys is chosen for all.
    """
    read = side_by_side(hosts, lambda host: host.read(secret_files.KEY))
    keys = {text.decode() for text in read if text}
    chosen = min(keys, key=lambda key: hashlib.sha256(key.encode()).digest(), default="")
    return Secret(chosen or secrets.token_hex(32))
