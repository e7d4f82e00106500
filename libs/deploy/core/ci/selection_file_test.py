import json

import pytest

from deploy.core.ci.pending_deploys import all_pending
from deploy.core.ci.selection import Mode, SelectedName, Selection
from deploy.core.ci.selection_file import (
    PublishedImages,
    read_published,
    read_selection,
)
from deploy.errors import UsageError


def test_selection_is_read_back() -> None:
    selection = Selection(
        Mode.CHANGED, None, "a reason", deploys=all_pending(["staging"], ["b", "a"])
    )
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
def test_image_is_affected_by_name_or_with_everything(
    mode: str, images: list[str], *, reached: bool
) -> None:
    selected = tuple(SelectedName(each, ("why",)) for each in images)
    selection = Selection(Mode(mode), None, "a reason", images=selected)
    read = read_selection(json.dumps(selection.document()), "file")
    assert read.reaches("deploy/ship:image") is reached


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"reason": "", "services": [], "deploys": []}'])
def test_invalid_selection_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="file is not a selection; nothing was changed"):
        read_selection(text, "file")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [{"service": "a"}]}'])
def test_invalid_list_of_images_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="file is not a list of published images"):
        read_published(text, "file")


def test_published_images_are_read_by_service() -> None:
    text = '{"images": [{"service": "a", "image": "b"}], "tool": "c"}'
    assert read_published(text, "f") == PublishedImages({"a": "b"}, "c")
    assert read_published('{"images": []}', "f") == PublishedImages({})
