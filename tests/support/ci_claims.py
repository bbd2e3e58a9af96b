"""What do the tokens of GitHub, GitLab and Kubernetes say? (Pure.)

Sources: GitHub's "OpenID Connect reference", GitLab's "OpenID Connect (OIDC) Authentication Using
ID Tokens", Kubernetes' "Managing Service Accounts", section "Schema for service account private
claims". All values are text but where they are not there either.
"""

from __future__ import annotations

from typing import Any

Claims = dict[str, Any]
GITHUB_SUBJECT = "repo:octo-org/octo-repo:ref:refs/heads/main"
GITLAB_SUBJECT = "project_path:my-group/my-project:ref_type:branch:ref:main"
KUBERNETES_SUBJECT = "system:serviceaccount:apps:worker"
_COMMIT = "c040cae0f0dc81641728557b80f09cfa23b83fe5"
_WORKFLOW = "octo-org/octo-repo/.github/workflows/ci.yml@refs/heads/main"


def github(now: float) -> Claims:
    """Return what a job of GitHub Actions is told of itself; it lasts five minutes."""
    return {
        "sub": GITHUB_SUBJECT,
        "repository": "octo-org/octo-repo",
        "repository_id": "424242",
        "repository_owner": "octo-org",
        "repository_owner_id": "2020",
        "repository_visibility": "private",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "ref_protected": "true",
        "base_ref": "",
        "head_ref": "",
        "sha": _COMMIT,
        "event_name": "push",
        "actor": "octocat",
        "actor_id": "12",
        "workflow": "ci",
        "workflow_ref": _WORKFLOW,
        "workflow_sha": _COMMIT,
        "job_workflow_ref": _WORKFLOW,
        "job_workflow_sha": _COMMIT,
        "run_id": "22259804324",
        "run_number": "42",
        "run_attempt": "1",
        "runner_environment": "github-hosted",
        **_times(now, before=600, life=300),
    }


def gitlab(now: float) -> Claims:
    """Return what a job of GitLab is told of itself; it lasts as long as the job may."""
    return {
        "sub": GITLAB_SUBJECT,
        "namespace_id": "72",
        "namespace_path": "my-group",
        "project_id": "20",
        "project_path": "my-group/my-project",
        "user_id": "1",
        "user_login": "sample-user",
        "user_email": "sample-user@example.com",
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "runner_id": 1,
        "runner_environment": "gitlab-hosted",
        "sha": _COMMIT,
        **_times(now, before=5, life=3600),
    }


def kubernetes(now: float) -> Claims:
    """Return what a pod's projected service account token says; it lasts ten minutes."""
    return {
        "sub": KUBERNETES_SUBJECT,
        "kubernetes.io": {
            "namespace": "apps",
            "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
            "pod": {"name": "worker-0", "uid": "5fb6f1d3-4b1a-4b0e-9a7c-7d2cc7b1b0a1"},
            "serviceaccount": {"name": "worker", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
        },
        **_times(now, before=0, life=600),
    }


def _times(now: float, *, before: int, life: int) -> Claims:
    return {"iat": int(now), "nbf": int(now) - before, "exp": int(now) + life}
