"""Secrets: nothing shows a value, and a version says when it changed."""

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
    """Something that has a secret among other things."""

    secret: Secret


def test_nothing_shows_a_value(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE)
    logging.getLogger("test").warning("%s %r %s", secret, secret, [secret])
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret!r}",
        "{}".format(secret),  # noqa: UP032 - one of the ways
        "%s" % secret,  # noqa: UP031 - another
        json.dumps({"secret": secret}, default=str),
        repr(Holder(secret)),
        repr(asdict(Holder(secret))),
        repr(Found(secret, "3")),
        caplog.text,
    ]
    assert [text for text in shown if VALUE in text] == []
    assert all("***" in text for text in shown)


def test_a_secret_is_neither_pickled_nor_json() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="can't be pickled"):
            pickle.dumps(Secret(VALUE), protocol)
    with pytest.raises(TypeError):
        json.dumps(Secret(VALUE))


def test_a_secret_is_its_value_to_who_compares() -> None:
    assert Secret(VALUE) == Secret(VALUE) == copy.deepcopy(Secret(VALUE))
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE
    assert len({Secret(VALUE), Secret(VALUE)}) == 1
    assert Secret(VALUE).reveal() == VALUE


def test_a_store_s_version_is_taken_as_it_is() -> None:
    assert version_of("A", Found(Secret(VALUE), "7"), KEY) == "7"


@given(st.text(), st.text())
def test_a_digest_tells_values_apart_and_means_nothing_without_the_key(one: str, two: str) -> None:
    first, second = (version_of("A", Found(Secret(value)), KEY) for value in (one, two))
    assert (first == second) == (one == two)
    assert version_of("A", Found(Secret(one)), Secret("another key")) != first
    assert version_of("B", Found(Secret(one)), KEY) != first


def test_a_field_of_a_json_document_is_a_value_of_its_own() -> None:
    found = Found(Secret('{"user": "app", "port": 5432}'), "v1")
    assert field_of(found, "") is found
    assert field_of(found, "user") == Found(Secret("app"), "v1")
    assert field_of(found, "port") == Missing("has no text field port")
    assert field_of(found, "none") == Missing("has no text field none")
    assert field_of(Found(Secret("[]")), "user") == Missing("has no text field user")
    assert field_of(Found(Secret(VALUE)), "user") == Missing(
        "isn't a JSON document, so it has no fields"
    )


def test_what_changed_is_named() -> None:
    one = Pinned("A", "ssm", "/a", "", "file", "1")
    two = Pinned("B", "env", "B", "", "env", "hmac-1")
    assert changed((one, two), (two, one)) == ()
    assert changed((one,), (replace(one, version="2"), two)) == ("A", "B")
    assert changed((one,), ()) == ("A",)
