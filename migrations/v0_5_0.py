"""The endpoint of an S3 store is answered by its URL, and `store_secure` is not asked any longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from project import Project


def before(project: Project) -> None:
    """Say the endpoint of an S3 store as its URL; whether it speaks HTTPS was a question of its own."""
    endpoint = project.answers.get("store_endpoint")
    if endpoint and "://" not in endpoint:
        secure = project.answers.get("store_secure", True)
        project.set_answer("store_endpoint", f"http{'s' if secure else ''}://{endpoint}")
    project.remove_answer("store_secure")
