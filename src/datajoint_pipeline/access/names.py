"""The names of the roles on a server, one for each role of an environment of a project."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..dialects.rights import Mark
from .model import ENVIRONMENTS, ROLES

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
        ``dev``, ``prod`` or one of ``environments.toml``.
    longest : int
        How many bytes a role's name may have.
    owned : bool
        Whether there are owners, as on PostgreSQL.
    beside : tuple of str
        The environments on the same server, itself among them.
    drafts : bool
        Whether developers make tables there, as in ``dev``.
    sharing : tuple of str
        The environments in the same database of PostgreSQL, itself among them. Somebody can be one role alone from the
        beginning of each session there.
    """

    pipeline: str
    environment: str
    longest: int
    owned: bool
    beside: tuple[str, ...] = ENVIRONMENTS
    drafts: bool = False
    sharing: tuple[str, ...] = ENVIRONMENTS

    @property
    def develops(self) -> bool:
        """Tell whether developers make tables there."""
        return self.drafts or self.environment == "dev"

    def of(self, role: str, environment: str = "") -> str:
        """Give the name of a role: ``lab_prod_viewer``, with a shorter beginning where that would be too long."""
        place = _short(environment or self.environment)
        end = f"_{place}_{role}"
        room = self.longest - max(len("_prod_developer"), len(f"_{place}_developer"))
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


def _short(environment: str) -> str:
    """Give the name of an environment, or a shorter one that no other has; MySQL takes 32 characters for a role."""
    if len(environment) <= _LONGEST:
        return environment
    return f"{environment[: _LONGEST - 6]}_{hashlib.sha256(environment.encode()).hexdigest()[:5]}"


#: How much of the name of an environment stands in that of a role.
_LONGEST = 13


def pipeline_name(package: str, prefix: str) -> str:
    """Give what a pipeline is called on a server: its package, and before it its prefix unless that begins the name.

    Many projects are called ``my_pipeline``, and those on one server have prefixes to tell their schemas apart.
    """
    return package if package.startswith(prefix) else prefix + package
