import json

import pytest

from deploy.core.due import all_due
from deploy.core.selected import Published, read_published, read_selection
from deploy.core.selection import Selection
from deploy.errors import UsageError


def test_what_affected_writes_is_read_back() -> None:
    selection = Selection("changed", None, "a reason", deploys=all_due(["staging"], ["b", "a"]))
    read = read_selection(json.dumps(selection.document()), "file")
    assert (read.reason, read.services) == ("a reason", ())
    assert read.deploys == {"staging": ("a", "b")}
    assert read.to_publish == ("a", "b")


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
