"""Lints the pipeline's CloudFormation template offline and checks what its two roles may do."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = next(folder for folder in Path(__file__).parents if (folder / "deploy" / "aws").is_dir())
TEMPLATE = ROOT / "deploy" / "aws" / "pipeline.yml"


def resource(name: str) -> str:
    """Returns the text of a resource of the template."""
    text = TEMPLATE.read_text()
    start = text.index(f"\n  {name}:\n") + 1
    following = re.compile(r"^  \w", re.MULTILINE).search(text, start + len(name) + 4)
    assert following
    return text[start : following.start()]


def test_the_template_passes_cfn_lint() -> None:
    program = "import sys; from cfnlint.runner import main; sys.exit(main())"
    argv = [sys.executable, "-c", program, "--template", str(TEMPLATE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_only_the_push_role_may_push_and_neither_role_may_delete() -> None:
    pushing = {"ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart"}
    actions = {
        name: set(re.findall(r"ecr:\w+", resource(name))) for name in ("PushRole", "DeployRole")
    }
    assert pushing <= actions["PushRole"]
    assert not pushing & actions["DeployRole"]
    assert not any(
        "Delete" in action or "*" in action for found in actions.values() for action in found
    )


def test_only_the_default_branch_can_assume_a_role() -> None:
    subject = '"${GitlabHost}:sub": "project_path:${Project}:ref_type:branch:ref:${DefaultBranch}"'
    for name in ("PushRole", "DeployRole"):
        text = resource(name)
        assert subject in text
        assert '"${GitlabHost}:aud": "sts.amazonaws.com"' in text
        assert "StringLike" not in text
