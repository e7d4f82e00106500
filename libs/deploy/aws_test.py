"""The AWS side of the pipeline, linted offline, and what its two roles may do."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = next(folder for folder in Path(__file__).parents if (folder / "deploy" / "aws").is_dir())
TEMPLATE = ROOT / "deploy" / "aws" / "pipeline.yml"


def role(name: str) -> str:
    """The text of a resource of the template."""
    text = TEMPLATE.read_text()
    begin = text.index(f"\n  {name}:\n") + 1
    following = re.compile(r"^  \w", re.MULTILINE).search(text, begin + len(name) + 4)
    assert following
    return text[begin : following.start()]


def test_cloudformation_takes_the_template() -> None:
    program = "import sys; from cfnlint.runner import main; sys.exit(main())"
    argv = [sys.executable, "-c", program, "--template", str(TEMPLATE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_only_the_push_role_pushes_and_neither_deletes() -> None:
    pushing = {"ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart"}
    actions = {name: set(re.findall(r"ecr:\w+", role(name))) for name in ("PushRole", "DeployRole")}
    assert pushing <= actions["PushRole"]
    assert not pushing & actions["DeployRole"]
    assert not any("Delete" in each or "*" in each for found in actions.values() for each in found)


def test_a_merge_request_s_token_takes_no_role() -> None:
    subject = '"${GitlabHost}:sub": "project_path:${Project}:ref_type:branch:ref:${DefaultBranch}"'
    for name in ("PushRole", "DeployRole"):
        text = role(name)
        assert subject in text
        assert '"${GitlabHost}:aud": "sts.amazonaws.com"' in text
        assert "StringLike" not in text
