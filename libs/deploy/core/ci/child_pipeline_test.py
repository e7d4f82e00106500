"""Tests of the text of child pipelines."""

import json
import re
import shlex
import subprocess

import pytest

from deploy.core.addresses import service_url
from deploy.core.ci.child_pipeline import (
    ChildPipeline,
    Deployable,
    make_child_pipeline,
    render,
    render_dotenv,
)
from deploy.core.ci.selection_file import PublishedImages, SavedSelection
from deploy.core.config import Environment, HostConfig, RegistryConfig, Route
from deploy.core.printable import printable
from deploy.errors import UsageError

REGISTRY = RegistryConfig("123456789012", "eu-central-1")
SHOP = f"{REGISTRY.name}/shop@sha256:{'b' * 64}"
TOOL = f"{REGISTRY.name}/ship@sha256:{'c' * 64}"
PUBLISHED = PublishedImages({"shop": SHOP}, TOOL)
STAGING = Environment(
    "staging",
    (HostConfig("web-1", "192.0.2.1", "https://staging.example.com", "192.0.2.1:9443"),),
    REGISTRY,
    "known_hosts",
    "key",
)
SELECTED = SavedSelection("a reason", ("app", "shop"), {"staging": ("shop",), "production": ()})

GITLAB = {"name": "staging/shop", "url": "https://staging.example.com"}


def job(stage: str, action: str, script: str, **more: object) -> dict[str, object]:
    return {
        "extends": ".deploys",
        "image": TOOL,
        "stage": stage,
        "environment": {**GITLAB, "action": action},
        "script": [script],
        "cache": [],
        **more,
    }


GOLDEN = {
    ".made by ship pipeline": {
        "variables": {
            "ENVIRONMENT": "staging",
            "REVISION": "3f9c2ab00000",
            "SERVICES": "shop",
            "REASON": "a reason",
        }
    },
    "include": [{"local": ".gitlab/ci/child.yml"}],
    "stages": ["hold", "e2e", "promote", "watch", "confirm", "rollback", "report"],
    "hold shop": job(
        "hold",
        "prepare",
        f"./ship deploy shop --image {SHOP} --hold --wait --dotenv dist/ci/shop.env --env staging",
        artifacts={"when": "always", "reports": {"dotenv": "dist/ci/shop.env"}},
    ),
    "e2e shop": {
        "extends": ".deploys",
        "image": "$SHIP_JOB_IMAGE",
        "stage": "e2e",
        "environment": {**GITLAB, "action": "verify"},
        "script": ['./ship e2e shop --release "$SHOP_RELEASE" --keep dist/e2e/shop --env staging'],
        "artifacts": {
            "when": "always",
            "paths": ["dist/e2e/shop"],
            "reports": {"junit": "dist/e2e/shop/*.xml"},
        },
    },
    "promote shop": job(
        "promote",
        "prepare",
        './ship promote shop --release "$SHOP_RELEASE" --wait --env staging',
    ),
    "watch shop": job("watch", "verify", "./ship watch shop --env staging"),
    "confirm shop": job(
        "confirm", "start", f"./ship confirm shop --image {SHOP} --wait --env staging"
    ),
    "rollback shop": job(
        "rollback",
        "prepare",
        './ship revert shop --release "$SHOP_HELD" --env staging',
        rules=[{"when": "on_failure"}],
    ),
    "report shop": job(
        "report",
        "verify",
        './ship report shop "$SHOP_RELEASE" --out dist/report/shop.html --env staging',
        rules=[{"when": "always"}],
        allow_failure=True,
        artifacts={"when": "always", "paths": ["dist/report/shop.html"]},
    ),
}

EMPTY = {
    ".made by ship pipeline": {
        "variables": {
            "ENVIRONMENT": "production",
            "REVISION": "3f9c2ab00000",
            "SERVICES": "nothing",
            "REASON": "a reason",
        }
    },
    "stages": ["hold"],
    "nothing to deploy": {
        "stage": "hold",
        "image": "$SHIP_JOB_IMAGE",
        "variables": {"GIT_STRATEGY": "none"},
        "script": ["echo 'production: nothing to deploy: a reason'"],
    },
}


def test_each_step_is_a_job_with_the_image_digest() -> None:
    child = make_child_pipeline(STAGING, SELECTED, PUBLISHED, revision="3f9c2ab" + "0" * 33)
    written = json.loads(render(child))
    assert written == GOLDEN
    assert list(written) == list(GOLDEN), "GitLab shows jobs in this order"


def test_pipeline_with_nothing_to_deploy_prints_the_reason() -> None:
    child = ChildPipeline("production", "3f9c2ab" + "0" * 33, "a\nreason")
    assert json.loads(render(child)) == EMPTY


def test_the_url_of_a_service_is_that_of_its_route() -> None:
    routes = {"shop": Route("/", "shop.test")}
    child = make_child_pipeline(STAGING, SELECTED, PUBLISHED, revision="f" * 40, routes=routes)
    assert [each.url for each in child.deployables] == [
        service_url(STAGING.hosts[0].url, routes["shop"])
    ]
    assert "://shop.test" in render(child)


def test_only_the_confirm_job_is_a_gitlab_deployment() -> None:
    text = render(make_child_pipeline(STAGING, SELECTED, PUBLISHED, revision="f" * 40))
    deploying = [
        name
        for name, job in json.loads(text).items()
        if isinstance(job, dict) and job.get("environment", {}).get("action") == "start"
    ]
    assert deploying == ["confirm shop"]


def test_deploy_freeze_is_refused_by_a_job_of_its_own() -> None:
    child = make_child_pipeline(STAGING, SELECTED, PUBLISHED, revision="f" * 40, freezes=True)
    jobs = json.loads(render(child))
    frozen = jobs.pop("frozen")
    assert frozen == {
        "extends": ".ship",
        "stage": "hold",
        "rules": [{"if": "$CI_DEPLOY_FREEZE"}],
        "script": ["./ship pipeline staging --frozen"],
    }
    never = {"if": "$CI_DEPLOY_FREEZE", "when": "never"}
    refusing = [name for name, job in jobs.items() if "rules" in job and job["rules"][0] == never]
    assert len(refusing) == 7


HOSTILE = "$(touch /tmp/x) `id` 'a\" \\ 😀 \x85 \x7f é #: - [*&!|>%@"


def test_text_of_any_kind_reaches_the_shell_as_it_is() -> None:
    child = ChildPipeline("production", "f" * 40, f"a reason {HOSTILE}")
    (line,) = json.loads(render(child))["nothing to deploy"]["script"]
    expected = printable(f"production: nothing to deploy: a reason {HOSTILE.replace('\x85 ', '')}")
    assert shlex.split(line) == ["echo", expected]
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True, text=True)
    assert "$(touch /tmp/x) `id`" in done.stdout


def test_pipeline_has_only_characters_that_yaml_allows() -> None:
    text = render(ChildPipeline("production", "f" * 40, HOSTILE))
    assert "😀" in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]|\\\\ud[89ab]", text)


def test_nul_is_refused() -> None:
    with pytest.raises(UsageError, match="the selection contains NUL; the pipeline"):
        render(ChildPipeline("pro\0duction", "f" * 40, "a reason"))


def test_control_characters_of_a_reason_are_shown_as_text() -> None:
    text = render(ChildPipeline("production", "f" * 40, "a \x1b[2J reason"))
    (line,) = json.loads(text)["nothing to deploy"]["script"]
    assert shlex.split(line)[1] == "production: nothing to deploy: a \\x1b[2J reason"


@pytest.mark.parametrize(
    ("outcome", "to_revert"), [("held", "r1"), ("live", "r1"), ("unchanged", ""), ("reverted", "")]
)
def test_release_that_was_live_before_is_not_reverted(outcome: str, to_revert: str) -> None:
    text = render_dotenv("my-shop", "r1", outcome)
    assert text == f"MY_SHOP_RELEASE=r1\nMY_SHOP_HELD={to_revert}\n"


@pytest.mark.parametrize(
    ("selection", "images", "message"),
    [
        (SELECTED, {}, "shop: due in staging, but no published image is named"),
        (SELECTED, {"shop": f"other.example.com/shop@sha256:{'b' * 64}"}, "is not in 123456789012"),
        (SavedSelection("", (), {}), {"shop": SHOP}, "has no environment staging"),
    ],
)
def test_selection_and_images_that_do_not_match_are_refused(
    selection: SavedSelection, images: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make_child_pipeline(STAGING, selection, PublishedImages(images, TOOL), revision="f" * 40)


@pytest.mark.parametrize(
    "image",
    [
        "",
        f"{REGISTRY.name}/shop:latest",
        f"{SHOP[:-1]}",
        SHOP.replace("/shop", "/$(id)"),
        SHOP.replace("/shop", "/shop;id"),
        SHOP.replace("/shop", "/shop`id`"),
        SHOP.replace("/shop", "/sh\nop"),
        f"$(id).{SHOP}",
        f"-{SHOP}",
    ],
)
def test_image_without_a_digest_or_with_shell_syntax_is_refused(image: str) -> None:
    deployables = (Deployable("shop", image, "http://a"),)
    with pytest.raises(UsageError, match=r"shop: .* nothing will be deployed"):
        render(ChildPipeline("staging", "f" * 40, "", deployables, tool=TOOL))
    deployables = (Deployable("shop", SHOP, "http://a"),)
    with pytest.raises(UsageError, match=r"the tool: .* nothing will be deployed"):
        render(ChildPipeline("staging", "f" * 40, "", deployables, tool=image))
