"""What the audit of tables is on either server: a hidden table in each schema, and the triggers that write to it."""

from __future__ import annotations

#: The table of a schema that has what was done with the rows of its audited tables.
TABLE = "~audit"

#: Its columns: a number, the table, when (UTC), the account that logged in, what was done, the row before and after.
COLUMNS = ("id", "table_name", "at", "login", "operation", "old", "new")

#: What is recorded where an audited table got another name: its places before and afterwards are ``old`` and ``new``.
RENAME = "rename"
