"""What the report is made of: findings, and the rules that they come from."""

from __future__ import annotations

from dataclasses import dataclass

#: Rules by group, in the order of the report.
GROUPS = {
    "layout": ("no-package", "flat-layout", "taken-name", "not-python"),
    "packaging": (
        "no-pyproject",
        "old-packaging",
        "no-script",
        "dependency",
        "datajoint-pin",
        "python-floor",
        "build-module",
    ),
    "package": (
        "init-lines",
        "no-version",
        "version-lines",
        "version-order",
        "test-fixture",
        "ignore-lines",
        "ignored-file",
    ),
    "schemas": (
        *("dj-schema", "schema-activate", "schema-import", "schema-name", "several-schemas", "schema-elsewhere"),
        *(
            "same-table",
            "virtual-module",
            "missing-import",
            "unused-import",
            "star-import",
            "top-import",
            "import-cycle",
        ),
    ),
    "types": (
        *("blob-type", "integer-type", "float-type", "bool-type", "decimal-type", "text-type", "year-type"),
        *("attach-type", "type-spelling", "stored-type", "auto-increment", "adapter-type", "refused-definition"),
        *("native-key", "long-key", "no-definition", "computed-definition"),
    ),
    "calls": (
        *("renamed-name", "removed-method", "removed-argument", "legacy-import", "legacy-package", "schema-jobs"),
        *("aggr-rows", "join-operator", "join-names", "universal-join", "fetch"),
    ),
    "configuration": (
        *("config-custom", "config-key", "config-method", "secret-in-code", "not-converted", "secret-committed"),
        "legacy-file",
    ),
}

GROUP_OF = {rule: group for group, rules in GROUPS.items() for rule in rules}


@dataclass(frozen=True, order=True)
class Finding:
    """A place that has to be different: where, what it is, what to write instead.

    A ``note`` is only to be known: it keeps nobody from being ready. What is ``sure`` has one right form, which
    ``--convert-types`` writes.
    """

    path: str
    line: int
    rule: str
    what: str
    do: str
    note: bool = False
    sure: bool = False

    @property
    def group(self) -> str:
        """Return the group of its rule."""
        return GROUP_OF[self.rule]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.what} {self.do}"
