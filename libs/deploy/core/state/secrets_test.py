"""Secrets: nothing shows a value, and the version shows a change."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from dataclasses import asdict, dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.core.state.secrets import (
    Found,
    Missing,
    Pinned,
    Secret,
    changed,
    field_of,
    version_of,
)

VALUE = "correct horse battery staple"
KEY = Secret("a key")


@dataclass(frozen=True)
class Holder:
    """A value with a secret in it."""

    secret: Secret


def test_no_way_of_printing_shows_a_value(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE)
    logging.getLogger("test").warning("%s %r %s", secret, secret, [secret])
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret!r}",
        "{}".format(secret),  # noqa: UP032 - one of the ways to print
        "%s" % secret,  # noqa: UP031 - another
        json.dumps({"secret": secret}, default=str),
        repr(Holder(secret)),
        repr(asdict(Holder(secret))),
        repr(Found(secret, "3")),
        caplog.text,
    ]
    assert [text for text in shown if VALUE in text] == []
    assert all("***" in text for text in shown)


def test_secret_cannot_be_pickled_or_written_as_json() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="can't be pickled"):
            pickle.dumps(Secret(VALUE), protocol)
    with pytest.raises(TypeError):
        json.dumps(Secret(VALUE))


def test_secrets_compare_by_value() -> None:
    assert Secret(VALUE) == Secret(VALUE) == copy.deepcopy(Secret(VALUE))
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE
    assert len({Secret(VALUE), Secret(VALUE)}) == 1
    assert Secret(VALUE).reveal() == VALUE


def test_version_of_a_store_is_used_as_it_is() -> None:
    assert version_of("A", Found(Secret(VALUE), "7"), KEY) == "7"


@given(st.text(), st.text())
def test_digest_depends_on_value_name_and_key(one: str, two: str) -> None:
    first, second = (version_of("A", Found(Secret(value)), KEY) for value in (one, two))
    assert (first == second) == (one == two)
    assert version_of("A", Found(Secret(one)), Secret("another key")) != first
    assert version_of("B", Found(Secret(one)), KEY) != first


def test_field_of_a_json_document_is_a_value() -> None:
    found = Found(Secret('{"user": "app", "port": 5432}'), "v1")
    assert field_of(found, "") is found
    assert field_of(found, "user") == Found(Secret("app"), "v1")
    assert field_of(found, "port") == Missing("has no text field port")
    assert field_of(found, "none") == Missing("has no text field none")
    assert field_of(Found(Secret("[]")), "user") == Missing("has no text field user")
    assert field_of(Found(Secret(VALUE)), "user") == Missing(
        "isn't a JSON document, so it has no fields"
    )


def test_changed_secrets_are_named() -> None:
    one = Pinned("A", "ssm", "/a", "", "file", "1")
    two = Pinned("B", "env", "B", "", "env", "hmac-1")
    assert changed((one, two), (two, one)) == ()
    assert changed((one,), (replace(one, version="2"), two)) == ("A", "B")
    assert changed((one,), ()) == ("A",)
