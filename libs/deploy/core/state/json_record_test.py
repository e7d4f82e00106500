"""Dataclasses as JSON documents: nested, with other keys, from older and newer versions, and with wrong types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.core.state.json_record import from_json, to_json


class Colour(StrEnum):
    """An enum in a document."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Point:
    """A nested value."""

    x: int
    y: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """A value with every kind of field."""

    name: str
    points: tuple[Point, ...] = ()
    size: tuple[str, int] = ("", 0)
    visible: bool = False
    centre: Point | None = None
    colour: Colour = Colour.RED
    style: Literal["solid", "dashed"] = "solid"
    weights: Mapping[str, float] = field(default_factory=dict)
    after: str | None = field(default=None, metadata={"none": ""})
    side_by_side: bool = field(default=False, metadata={"key": "beside"})


points = st.builds(Point, st.integers(), st.floats(allow_nan=False))
drawings = st.builds(
    Drawing,
    name=st.text(),
    points=st.lists(points).map(tuple),
    size=st.tuples(st.text(), st.integers()),
    visible=st.booleans(),
    centre=st.none() | points,
    colour=st.sampled_from(Colour),
    style=st.sampled_from(["solid", "dashed"]),
    weights=st.dictionaries(st.text(), st.floats(allow_nan=False)),
    after=st.none() | st.text(min_size=1),
    side_by_side=st.booleans(),
)


@given(drawings)
def test_a_written_value_is_read_back(drawing: Drawing) -> None:
    assert from_json(Drawing, json.loads(json.dumps(to_json(drawing)))) == drawing


def test_metadata_gives_another_key_and_the_value_that_stands_for_none() -> None:
    document = to_json(Drawing("a", side_by_side=True))
    assert (document["beside"], document["after"], document["centre"]) == (True, "", None)
    assert "side_by_side" not in document
    assert from_json(Drawing, document).after is None


def test_missing_keys_take_their_default_and_unknown_keys_are_ignored() -> None:
    assert from_json(Drawing, {"name": "a", "of_later": {"b": 1}}) == Drawing("a")


def test_an_integer_stays_one_where_a_float_is_allowed() -> None:
    assert json.dumps(to_json(from_json(Point, {"x": 1, "y": 2}))) == '{"x": 1, "y": 2}'


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "name: is missing"),
        ([], r"the document: should be Drawing, not \[\]"),
        ({"name": 3}, "name: should be str, not 3"),
        ({"name": None}, "name: should be str, not None"),
        ({"name": "a", "points": [{"x": 1}, {"x": "1"}]}, r"points\[1\].x: should be int, not '1'"),
        ({"name": "a", "points": [{"y": 1}]}, r"points\[0\].x: is missing"),
        ({"name": "a", "points": {"x": 1}}, r"points: should be tuple"),
        ({"name": "a", "size": ["b"]}, "size: should be tuple"),
        ({"name": "a", "visible": 1}, "visible: should be bool, not 1"),
        ({"name": "a", "centre": {"x": True}}, "centre.x: should be int, not True"),
        ({"name": "a", "colour": "green"}, "colour: should be Colour, not 'green'"),
        ({"name": "a", "style": "dotted"}, "style: should be .*, not 'dotted'"),
        ({"name": "a", "weights": {"b": "heavy"}}, "weights.b: should be float, not 'heavy'"),
        ({"name": "a", "beside": "yes"}, "beside: should be bool, not 'yes'"),
    ],
)
def test_an_error_names_the_path(document: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Drawing, document)


@dataclass(frozen=True)
class Grown:
    name: str
    marks: tuple[str, ...] = field(default=(), metadata={"optional": True})


def test_an_optional_field_is_written_only_if_it_differs_from_its_default() -> None:
    assert to_json(Grown("a")) == {"name": "a"}
    assert to_json(Grown("a", ("x",))) == {"name": "a", "marks": ["x"]}
    assert from_json(Grown, {"name": "a"}) == Grown("a")
