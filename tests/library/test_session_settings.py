"""What an administrator has set for an account or a server changes no value, no shape and no number of rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Project, Server
from living import living, ok, rows, states

PI = 3.141592653589793

#: Each of them changed a value, a shape or the number of rows that the session reads.
ROLE = {
    "extra_float_digits": "0",
    "quote_all_identifiers": "on",
    "bytea_output": "'escape'",
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'sql_standard'",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
}
GLOBAL = {
    "sql_select_limit": ("1", "18446744073709551615"),
    "div_precision_increment": ("0", "4"),
    "sql_quote_show_create": ("0", "1"),
    "sql_safe_updates": ("1", "0"),
    "sql_auto_is_null": ("1", "0"),
    "sql_mode": ("'ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES'", "DEFAULT"),
}


@pytest.fixture
def set_up(server: Server) -> Iterator[Server]:
    """A server that gives every new session other settings."""
    if server.backend == "mysql":
        server.execute(*(f"SET GLOBAL {name} = {other}" for name, (other, _) in GLOBAL.items()))
        yield server
        server.execute(*(f"SET GLOBAL {name} = {usual}" for name, (_, usual) in GLOBAL.items()))
    else:
        server.execute(*(f"ALTER ROLE {server.user} SET {name} = {value}" for name, value in ROLE.items()))
        yield server
        server.execute(f"ALTER ROLE {server.user} RESET ALL")


def test_values_and_shapes_are_what_they_are_under_any_settings(project: Project, set_up: Server) -> None:
    grams = "[(r['animal_id'], r['grams']) for r in life.Weight.to_dicts(order_by='animal_id, day')]"
    with living(set_up, project) as own:
        done = own.python("-c", f"from my_pipeline import life\nlife.Weight.insert1((2, '2026-02-01', {PI}))")
        assert done.code == 0, done.err
        assert {state for state, _ in states(own).values()} == {"current"}
        before = rows(own, grams)
        assert before[-1] == [2, PI] and len(before) == 4

        own.replace(own.module("life"), "grams : float64", "grams : varchar(32)")
        ok(own, "revise", "life", "-m", "as text")
        ok(own, "migrate")
        before = rows(own, grams)
        assert before[-1] == [2, str(PI)] and len(before) == 4

        # What is cut is in the backup, every row of it, and comes back.
        (_, version) = states(own)["life"]
        own.replace(own.module("life"), "grams : varchar(32)", "grams : varchar(4)")
        ok(own, "revise", "life", "-m", "short")
        ok(own, "migrate", "--allow-data-loss")
        assert rows(own, grams)[-1] == [2, str(PI)[:4]]
        (path,) = (own.folder / "backups").glob("*.zip")
        ok(own, "rollback", "life", "--to", str(version))
        ok(own, "restore", str(path))
        ((many, longest),) = set_up.execute("SELECT COUNT(*), MAX(CHAR_LENGTH(grams)) FROM dev_life.weight")
        assert (many, longest) == (4, len(str(PI)))
        assert states(own) == {"life": ("behind", version), "work": ("current", "1.0.0")}
