"""Releases: ids, addresses, hashes and compose files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.core.config import Health, Route
from deploy.core.state.release import (
    ADDRESS_SLOTS,
    MOST_REPLICAS,
    Origin,
    Release,
    config_hash,
    dump_release,
    make_release,
    parse_release,
    release_id,
    replica_addresses,
    replica_names,
    scaled,
    sequence_of,
)
from deploy.testing import factories

SUBNET = "10.213.0.0/16"


def made(sequence: int = 42, **options: object) -> Release:
    service = factories.service(**options)  # type: ignore[arg-type]
    return make_release(
        service,
        factories.image("one"),
        sequence,
        factories.REPLICA,
        factories.ORIGIN,
        subnet=SUBNET,
    )


@given(st.integers(1, 10**7), st.text("0123456789abcdef", min_size=7, max_size=40), st.booleans())
def test_id_contains_the_sequence(sequence: int, revision: str, dirty: bool) -> None:
    assert sequence_of(release_id(sequence, revision, dirty=dirty)) == sequence


def test_keys_of_a_newer_version_are_kept_when_a_release_is_scaled() -> None:
    release = make_release(
        factories.service(),
        factories.image("one"),
        7,
        factories.REPLICA,
        factories.ORIGIN,
        subnet="10.213.0.0/16",
    )
    document = json.loads(dump_release(release)) | {"canary": {"percent": 5}}
    found = parse_release(json.dumps(document))
    assert json.loads(dump_release(scaled(found, 5)))["canary"] == {"percent": 5}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"format": 99}, "its format is 99"),
        ({"id": "r7-x"}, "is no release id"),
        ({"sequence": 8}, "sequence: 8 is not that of r000007"),
        ({"addresses": ["10.213.0.1"]}, "addresses: 1 for 3 replicas"),
        ({"addresses": ["a", "b", "c"]}, "does not appear to be an IPv4"),
        ({"compose": "{}"}, "compose: does not describe"),
    ],
)
def test_a_damaged_record_is_refused(changed: dict[str, object], reason: str) -> None:
    release = make_release(
        factories.service(),
        factories.image("one"),
        7,
        factories.REPLICA,
        factories.ORIGIN,
        subnet="10.213.0.0/16",
    )
    with pytest.raises(ValueError, match=reason):
        parse_release(json.dumps({**json.loads(dump_release(release)), **changed}))


def test_id_is_short_and_lower_case() -> None:
    assert release_id(42, "3f9c2ab0d1", dirty=False) == "r000042-3f9c2ab"
    assert release_id(42, "unknown", dirty=True) == "r000042-unknown-dirty"


@pytest.mark.parametrize(
    "text", ["", "r42-abc", "R000042-abc", "r000042", "r000042-abc/..", "r000042-abc\n"]
)
def test_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no release id"):
        sequence_of(text)


def test_addresses_are_unique_over_a_thousand_releases_and_leave_room_for_docker() -> None:
    addresses = [
        address
        for sequence in range(1, ADDRESS_SLOTS + 1)
        for address in replica_addresses(SUBNET, sequence, MOST_REPLICAS)
    ]
    assert len(set(addresses)) == len(addresses) == ADDRESS_SLOTS * MOST_REPLICAS
    assert max(int(address.split(".")[2]) for address in addresses) < 250
    assert not any(address.endswith(".0.0") for address in addresses)


def test_more_replicas_than_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 63 replicas"):
        replica_addresses(SUBNET, 1, 64)


@given(st.integers(1, 10**6), st.integers(0, MOST_REPLICAS))
def test_replica_names_are_unique_to_a_release(sequence: int, count: int) -> None:
    names = set(replica_names("app", sequence, count))
    assert len(names) == count
    assert not names & set(replica_names("app", sequence + 1, count))


def test_written_record_is_read_back() -> None:
    release = made(path="/shop", host="www.example", color="green")
    assert parse_release(dump_release(release)) == release
    assert "\n" not in dump_release(release)
    edge = factories.stacks()[0]
    release = replace(release, edge=edge)
    assert parse_release(dump_release(release)) == release


def test_unknown_keys_of_a_newer_version_are_kept() -> None:
    release = replace(made(), edge=factories.stacks()[0])
    newer = json.loads(dump_release(release)) | {"of_later": {"a": 1}}
    newer["edge"] |= {"of_later": 1}
    found = parse_release(json.dumps(newer))
    assert replace(found, unknown=()) == release
    written = json.loads(dump_release(found))
    assert (written["of_later"], written["edge"]["of_later"]) == ({"a": 1}, 1)


@pytest.mark.parametrize(
    "line", ["", "[]", "{}", '{"id": 3}', '{"addresses": 3, "route": {}}', "3"]
)
def test_text_that_is_no_record_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - from json or from the reader
        parse_release(line)


def test_config_hash_covers_what_configures_a_replica_and_nothing_else() -> None:
    service = factories.service()
    hashed = config_hash(service, factories.REPLICA)
    assert config_hash(replace(service, replicas=9, image="other"), factories.REPLICA) == hashed
    others = [
        config_hash(replace(service, env={"A": "1"}), factories.REPLICA),
        config_hash(replace(service, health=Health(path="/other")), factories.REPLICA),
        config_hash(replace(service, route=Route("/other")), factories.REPLICA),
        config_hash(service, factories.REPLICA + "# changed\n"),
    ]
    assert len({hashed, *others}) == 5


def test_release_keeps_its_route() -> None:
    assert made(path="/shop", host="www.example").route == Route("/shop", "www.example")


def test_each_replica_is_a_compose_service_with_its_own_name_and_address() -> None:
    release = made(replicas=2, color="5$ green")
    document = json.loads(release.compose.replace("$$", "$"))
    services = document["services"]
    assert document["name"] == release.project == "app-r000042-3f9c2ab"
    assert tuple(services) == release.names == ("app-r000042-1", "app-r000042-2")
    addresses = [replica["networks"]["edge"]["ipv4_address"] for replica in services.values()]
    assert tuple(addresses) == release.addresses
    assert release.upstream.servers == tuple(f"{address}:8080" for address in addresses)
    first = services["app-r000042-1"]
    assert first["environment"] == {
        "COLOR": "5$ green",
        "SERVICE": "app",
        "RELEASE": release.id,
        "REVISION": factories.ORIGIN.revision,
        "CONFIG_HASH": release.config_hash,
        "PORT": "8080",
        "METRICS_PORT": "9100",
        "HUNG_AFTER_S": "60",
        "REPLICA": "app-r000042-1",
    }
    assert first["healthcheck"]["test"] == ["CMD", "/usr/local/bin/healthcheck", "9100", "/livez"]
    assert "5$$ green" in release.compose
    assert first["labels"]["py-cicd.release"] == release.id


def test_env_of_the_service_cannot_override_the_release() -> None:
    service = replace(factories.service(), env={"RELEASE": "forged", "REPLICA": "forged"})
    origin = Origin("3f9c2ab", False, "ada", "", "", "")
    release = make_release(service, "i", 1, factories.REPLICA, origin, subnet=SUBNET)
    assert "forged" not in release.compose
