import json

import pytest

from deploy.core.ci.pending_deploys import all_due
from deploy.core.ci.selection import Named, Selection
from deploy.core.ci.selection_file import (
    Published,
    read_published,
    read_selection,
)
from deploy.errors import UsageError


def test_what_affected_writes_is_read_back() -> None:
    selection = Selection("changed", None, "a reason", deploys=all_due(["staging"], ["b", "a"]))
    read = read_selection(json.dumps(selection.document()), "file")
    assert (read.reason, read.services) == ("a reason", ())
    assert read.deploys == {"staging": ("a", "b")}
    assert read.to_publish == ("a", "b")


@pytest.mark.parametrize(
    ("mode", "images", "reached"),
    [
        ("changed", [], False),
        ("changed", ["services/app:image"], False),
        ("changed", ["deploy/ship:image", "services/app:image"], True),
        ("all", ["services/app:image"], True),
    ],
)
def test_an_image_is_reached_by_name_or_with_everything(
    mode: str, images: list[str], *, reached: bool
) -> None:
    named = tuple(Named(each, ("why",)) for each in images)
    selection = Selection(mode, None, "a reason", images=named)
    read = read_selection(json.dumps(selection.document()), "file")
    assert read.reaches("deploy/ship:image") is reached


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"reason": "", "services": [], "deploys": []}'])
def test_what_is_no_selection_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="file is no selection; nothing was done"):
        read_selection(text, "file")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [{"service": "a"}]}'])
def test_what_is_no_list_of_images_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="file is no list of published images"):
        read_published(text, "file")


def test_published_images_are_read_by_service() -> None:
    text = '{"images": [{"service": "a", "image": "b"}], "tool": "c"}'
    assert read_published(text, "f") == Published({"a": "b"}, "c")
    assert read_published('{"images": []}', "f") == Published({})
