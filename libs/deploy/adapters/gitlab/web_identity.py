"""Passes a GitLab job's ID token to botocore, as the file that botocore reads.

https://docs.gitlab.com/ci/cloud_services/aws/ and botocore's own web identity:
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html#assume-role-with-web-identity-provider
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from deploy.errors import ConfigError

TOKEN, FILE, ROLE, SESSION = (
    "SHIP_ID_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
)


@contextmanager
def web_identity(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Lets botocore assume AWS_ROLE_ARN with the job's token while the context lasts. Does nothing without a token.

    The file has mode 0600 and is removed with the context. Raises ConfigError if no role is named.
    """
    token = environ.get(TOKEN, "")
    if not token or environ.get(FILE):
        yield
        return
    if not environ.get(ROLE, "").startswith("arn:"):
        raise ConfigError(
            f"{ROLE} is not set, so this job has a token and no role to assume; nothing was changed",
            hint="set AWS_PUSH_ROLE_ARN and AWS_DEPLOY_ROLE_ARN in GitLab's CI/CD variables (docs/gitlab.md)",
        )
    name = f"gitlab-{environ.get('CI_PROJECT_ID', '')}-{environ.get('CI_JOB_ID', '')}"
    with tempfile.NamedTemporaryFile("w", prefix="py-cicd-", encoding="utf-8") as file:
        file.write(token)
        file.flush()
        variables = {FILE: file.name, SESSION: environ.get(SESSION) or re.sub(r"[^\w-]", "-", name)}
        before = {key: environ.get(key) for key in variables}
        environ.update(variables)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    del environ[key]
                else:
                    environ[key] = value
