"""The names of the roles on a server, one for each role of an environment of a project."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..dialects.rights import Mark
from .model import ROLES

#: The role of PostgreSQL that everything belongs to.
OWNER = "owner"


@dataclass(frozen=True)
class Names:
    """The roles of an environment.

    Parameters
    ----------
    pipeline : str
        What the pipeline is called on the server, and its roles are marked with.
    environment : str
        ``dev`` or ``prod``.
    longest : int
        How many bytes a role's name may have.
    owned : bool
        Whether there are owners, as on PostgreSQL.
    """

    pipeline: str
    environment: str
    longest: int
    owned: bool

    def of(self, role: str, environment: str = "") -> str:
        """Give the name of a role: ``lab_prod_viewer``, with a shorter beginning where that would be too long."""
        end = f"_{environment or self.environment}_{role}"
        room = self.longest - len("_prod_developer")
        if len(self.pipeline.encode()) > room:
            digest = hashlib.sha256(self.pipeline.encode()).hexdigest()[:5]
            return self.pipeline.encode()[: room - 6].decode(errors="ignore") + f"_{digest}{end}"
        return self.pipeline + end

    @property
    def owner(self) -> str:
        """Give the name of the role that everything belongs to."""
        return self.of(OWNER)

    @property
    def marks(self) -> dict[str, Mark]:
        """Give what each role is marked with, by its name."""
        roles = (*ROLES, OWNER) if self.owned else ROLES
        return {self.of(role): Mark(self.pipeline, self.environment, role) for role in roles}


def pipeline_name(package: str, prefix: str) -> str:
    """Give what a pipeline is called on a server: its package, and before it its prefix unless that begins the name.

    Many projects are called ``my_pipeline``, and those on one server have prefixes to tell their schemas apart.
    """
    return package if package.startswith(prefix) else prefix + package
