"""Tests of the text of child pipelines."""

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

GOLDEN = f"""\
# Made by `ship pipeline` for staging at 3f9c2ab00000: shop.
# a reason
include:
  - local: ".gitlab/ci/child.yml"
stages: ["hold", "e2e", "promote", "watch", "confirm", "rollback", "report"]
"hold shop":
  extends: ".deploys"
  image: "{TOOL}"
  stage: "hold"
  environment:
    name: "staging/shop"
    url: "https://staging.example.com"
    action: "prepare"
  script: ["./ship deploy shop --image {SHOP} --hold --wait --dotenv dist/ci/shop.env --env staging"]
  cache: []
  artifacts:
    when: "always"
    reports:
      dotenv: "dist/ci/shop.env"
"e2e shop":
  extends: ".deploys"
  image: "$SHIP_JOB_IMAGE"
  stage: "e2e"
  environment:
    name: "staging/shop"
    url: "https://staging.example.com"
    action: "verify"
  script: ["./ship e2e shop --release \\"$SHOP_RELEASE\\" --keep dist/e2e/shop --env staging"]
  artifacts:
    when: "always"
    paths: ["dist/e2e/shop"]
    reports:
      junit: "dist/e2e/shop/*.xml"
"promote shop":
  extends: ".deploys"
  image: "{TOOL}"
  stage: "promote"
  environment:
    name: "staging/shop"
    url: "https://staging.example.com"
    action: "prepare"
  script: ["./ship promote shop --release \\"$SHOP_RELEASE\\" --wait --env staging"]
  cache: []
"watch shop":
  extends: ".deploys"
  image: "{TOOL}"
  stage: "watch"
  environment:
    name: "staging/shop"
    url: "https://staging.example.com"
    action: "verify"
  script: ["./ship watch shop --env staging"]
  cache: []
"confirm shop":
  extends: ".deploys"
  image: "{TOOL}"
  stage: "confirm"
  environment:
    name: "staging/shop"
    url: "https://staging.example.com"
    action: "start"
  script: ["./ship confirm shop --image {SHOP} --wait --env staging"]
  cache: []
"rollback shop":
  extends: ".deploys"
  image: "{TOOL}"
  stage: "rollback"
  environment:
    name: "staging/shop"
    url: "https://staging.example.com"
    action: "prepare"
  script: ["./ship revert shop --release \\"$SHOP_HELD\\" --env staging"]
  cache: []
  rules:
    - when: "on_failure"
"report shop":
  extends: ".deploys"
  image: "{TOOL}"
  stage: "report"
  environment:
    name: "staging/shop"
    url: "https://staging.example.com"
    action: "verify"
  script: ["./ship report shop \\"$SHOP_RELEASE\\" --out dist/report/shop.html --env staging"]
  cache: []
  rules:
    - when: "always"
  allow_failure: true
  artifacts:
    when: "always"
    paths: ["dist/report/shop.html"]
"""

EMPTY = """\
# Made by `ship pipeline` for production at 3f9c2ab00000: nothing.
# a reason
stages: ["hold"]
"nothing to deploy":
  stage: "hold"
  image: "$SHIP_JOB_IMAGE"
  variables:
    GIT_STRATEGY: "none"
  script: ["echo 'production: nothing to deploy: a reason'"]
"""


def test_each_step_is_a_job_with_the_image_digest() -> None:
    child = make_child_pipeline(STAGING, SELECTED, PUBLISHED, revision="3f9c2ab" + "0" * 33)
    assert render(child) == GOLDEN


def test_pipeline_with_nothing_to_deploy_prints_the_reason() -> None:
    assert render(ChildPipeline("production", "3f9c2ab" + "0" * 33, "a\nreason")) == EMPTY


def test_the_url_of_a_service_is_that_of_its_route() -> None:
    routes = {"shop": Route("/", "shop.test")}
    child = make_child_pipeline(STAGING, SELECTED, PUBLISHED, revision="f" * 40, routes=routes)
    assert [each.url for each in child.deployables] == [
        service_url(STAGING.hosts[0].url, routes["shop"])
    ]
    assert "://shop.test" in render(child)


def test_only_the_confirm_job_is_a_gitlab_deployment() -> None:
    text = render(make_child_pipeline(STAGING, SELECTED, PUBLISHED, revision="f" * 40))
    jobs = text.split('\n"')
    assert [job.split(" ")[0] for job in jobs if 'action: "start"' in job] == ["confirm"]


def test_deploy_freeze_is_refused_by_a_job_of_its_own() -> None:
    text = render(
        make_child_pipeline(STAGING, SELECTED, PUBLISHED, revision="f" * 40, freezes=True)
    )
    assert text.count('    - if: "$CI_DEPLOY_FREEZE"\n      when: "never"\n') == 7
    assert (
        "frozen:\n"
        '  extends: ".ship"\n'
        '  stage: "hold"\n'
        "  rules:\n"
        '    - if: "$CI_DEPLOY_FREEZE"\n'
        '  script: ["./ship pipeline staging --frozen"]\n'
    ) in text


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


@pytest.mark.parametrize("image", ["", f"{REGISTRY.name}/shop:latest", f"{SHOP[:-1]}"])
def test_image_without_a_digest_is_refused(image: str) -> None:
    deployables = (Deployable("shop", image, "http://a"),)
    with pytest.raises(UsageError, match=r"shop: .* nothing will be deployed"):
        render(ChildPipeline("staging", "f" * 40, "", deployables, tool=TOOL))
    deployables = (Deployable("shop", SHOP, "http://a"),)
    with pytest.raises(UsageError, match=r"the tool: .* nothing will be deployed"):
        render(ChildPipeline("staging", "f" * 40, "", deployables, tool=image))
