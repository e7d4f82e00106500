from dataclasses import replace

from deploy.core.config import Service
from deploy.core.images.inputs_tag import inputs_tag
from deploy.core.images.oci import Stamp

SERVICE = Service("app", "services/app:image")
STAMP = Stamp("3f9c2ab" + "0" * 33, 1795305600)


def test_inputs_tag_is_stable() -> None:
    assert inputs_tag(SERVICE, STAMP, "content") == "inputs-03d73ecf21984bf9"


def test_every_input_changes_the_tag() -> None:
    tags = {
        inputs_tag(SERVICE, STAMP, "content"),
        inputs_tag(SERVICE, STAMP, "other content"),
        inputs_tag(SERVICE, replace(STAMP, revision="0" * 40), "content"),
        inputs_tag(replace(SERVICE, image="services/app:other"), STAMP, "content"),
        inputs_tag(replace(SERVICE, source="https://example.com/app"), STAMP, "content"),
    }
    assert len(tags) == 5
