"""The pipelines that deploy, as text: what GitLab is told to the letter."""

import pytest

from deploy.core.ci.child_pipeline import (
    Child,
    Deployable,
    child_of,
    render,
    variables_of,
)
from deploy.core.ci.selection_file import Published, Selected
from deploy.core.config import Environment, HostConfig, RegistryConfig
from deploy.errors import UsageError

REGISTRY = RegistryConfig("123456789012", "eu-central-1")
SHOP = f"{REGISTRY.name}/shop@sha256:{'b' * 64}"
TOOL = f"{REGISTRY.name}/ship@sha256:{'c' * 64}"
PUBLISHED = Published({"shop": SHOP}, TOOL)
STAGING = Environment(
    "staging",
    (HostConfig("web-1", "192.0.2.1", "https://staging.example.com", "192.0.2.1:9443"),),
    REGISTRY,
    "known_hosts",
    "key",
)
SELECTED = Selected("a reason", ("app", "shop"), {"staging": ("shop",), "production": ()})

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


def test_each_step_is_a_job_with_the_digest_baked_in() -> None:
    child = child_of(STAGING, SELECTED, PUBLISHED, revision="3f9c2ab" + "0" * 33)
    assert render(child) == GOLDEN


def test_a_pipeline_with_nothing_to_deploy_says_so() -> None:
    assert render(Child("production", "3f9c2ab" + "0" * 33, "a\nreason")) == EMPTY


def test_only_the_confirming_job_is_a_deployment_to_gitlab() -> None:
    text = render(child_of(STAGING, SELECTED, PUBLISHED, revision="f" * 40))
    jobs = text.split('\n"')
    assert [job.split(" ")[0] for job in jobs if 'action: "start"' in job] == ["confirm"]


def test_a_frozen_environment_refuses_in_a_job_of_its_own() -> None:
    text = render(child_of(STAGING, SELECTED, PUBLISHED, revision="f" * 40, freezes=True))
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
    ("outcome", "held"), [("held", "r1"), ("live", "r1"), ("unchanged", ""), ("reverted", "")]
)
def test_what_was_live_already_is_not_taken_back(outcome: str, held: str) -> None:
    text = variables_of("my-shop", "r1", outcome)
    assert text == f"MY_SHOP_RELEASE=r1\nMY_SHOP_HELD={held}\n"


@pytest.mark.parametrize(
    ("selected", "images", "message"),
    [
        (SELECTED, {}, "shop: due in staging, but no published image is named"),
        (SELECTED, {"shop": f"other.example.com/shop@sha256:{'b' * 64}"}, "is not in 123456789012"),
        (Selected("", (), {}), {"shop": SHOP}, "knows no environment staging"),
    ],
)
def test_what_would_deploy_something_else_is_refused(
    selected: Selected, images: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        child_of(STAGING, selected, Published(images, TOOL), revision="f" * 40)


@pytest.mark.parametrize("image", ["", f"{REGISTRY.name}/shop:latest", f"{SHOP[:-1]}"])
def test_an_image_without_a_digest_is_refused(image: str) -> None:
    due = (Deployable("shop", image, "http://a"),)
    with pytest.raises(UsageError, match=r"shop: .* nothing will be deployed"):
        render(Child("staging", "f" * 40, "", due, tool=TOOL))
    due = (Deployable("shop", SHOP, "http://a"),)
    with pytest.raises(UsageError, match=r"the tool: .* nothing will be deployed"):
        render(Child("staging", "f" * 40, "", due, tool=image))
