"""Whatever is made in a schema of PostgreSQL belongs to the schema's owner, whoever runs; or it is refused in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from accounts import Account, made
from conftest import Project, Server
from living import FILL, LIFE, is_sentence, lay, ok, states

NAMES = ("dev_more", "dev_work", "dev_life")

#: Whatever is in the schemas and belongs to somebody else than the schema does.
STRAYS = """
SELECT n.nspname, o.name, pg_get_userbyid(o.owner) FROM pg_namespace n JOIN (
    SELECT relnamespace, relname, relowner FROM pg_class UNION ALL SELECT typnamespace, typname, typowner FROM pg_type
    UNION ALL SELECT pronamespace, proname, proowner FROM pg_proc
) o(namespace, name, owner) ON o.namespace = n.oid AND o.owner <> n.nspowner WHERE n.nspname LIKE 'dev\\_%'
"""

#: A new attribute in the middle, so that the table is built anew, a new table with an enum of its own, and a drop.
CHANGED = LIFE.replace("    grams :", "    mood = null : varchar(8)\n    grams :").replace(
    "    name : varchar(32)  # what it is called\n    colour = \"grey\" : enum('grey', 'white')\n",
    "    name : varchar(64)  # what it is called\n",
)
MEAL = '''

@schema
class Meal(dj.Computed):
    definition = """
    -> Animal
    ---
    size : enum('small', 'large')
    """

    def make(self, key):
        self.insert1(dict(key, size="small"))
'''
LOOK = "from my_pipeline import life; print(len(life.Animal()), len(life.Animal.to_dicts()))"


@pytest.fixture
def accounts(postgresql: Server) -> Iterator[Callable[..., Account]]:
    with made(postgresql, *NAMES) as make:
        yield make


@pytest.fixture
def own(postgresql: Server, project: Project) -> Project:
    lay(project)
    project.environment |= {**postgresql.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    return project


def begin(own: Project, who: dict[str, str]) -> None:
    """Make the pipeline, fill it, and have a migration that changes much of it."""
    ok(own, "init", **who)
    done = own.python("-c", FILL, **who)
    assert done.code == 0, done.err
    change(own)


def change(own: Project) -> None:
    own.write(own.module("life"), CHANGED + MEAL)
    ok(own, "revise", "life", "-m", "much", "--drop", "Animal.colour")


def all_belong(server: Server, **owners: str) -> None:
    """Everything belongs to the owner of its schema, and that is the one it should be."""
    assert server.execute(STRAYS) == []
    found = server.execute("SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname LIKE 'dev\\_%'")
    assert dict(found) == {f"dev_{name}": owner for name, owner in owners.items()}


def test_whoever_may_act_for_the_owner_makes_everything_the_owners(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    owner, member, reader = accounts("owner", owns=True), accounts("member"), accounts("reader")
    postgresql.execute(
        f"GRANT {owner.user} TO {member.user}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner.user} GRANT SELECT ON TABLES TO {reader.user}",
    )
    begin(own, owner.variables)
    for who in (member.variables, {}):  # the administrator, at last
        ok(own, "migrate", **who)
        all_belong(postgresql, life=owner.name, work=owner.name)
        assert own.python("-c", LOOK, **owner.variables).out == "2 2\n"
        # What the owner gives on new tables is given on these.
        granted = f"SELECT has_table_privilege('{reader.user}', 'dev_life.__meal', 'SELECT')"
        assert postgresql.execute(granted) == [(True,)]
        ok(own, "rollback", "life", "--to", "1.0.0", code=0, **who)
        all_belong(postgresql, life=owner.name, work=owner.name)
    ok(own, "migrate", **owner.variables)
    ok(own, "purge", "--allow-data-loss")
    (path,) = (own.folder / "backups").glob("*purge*.zip")
    ok(own, "restore", str(path))
    all_belong(postgresql, life=owner.name, work=owner.name)
    own.write(own.module("life"), CHANGED + MEAL.replace("large'", "large', 'huge'"))
    ok(own, "migrate", "--draft")
    all_belong(postgresql, life=owner.name, work=owner.name)
    own.write(own.module("life"), CHANGED + MEAL)
    ok(own, "migrate", "--draft", **owner.variables)
    # The record says who it was, and not for whom.
    runs = own.run("log", "--json").json["runs"]
    assert {run["database_user"].partition("@")[0] for run in runs} == {owner.name, member.name, "postgres"}


def test_whoever_may_not_is_refused_before_anything_is_changed(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    owner, other = accounts("owner", owns=True), accounts("other", owns=True)
    begin(own, owner.variables)
    postgresql.execute(
        *(f"GRANT ALL ON SCHEMA {name} TO {other.user}" for name in NAMES[1:]),
        *(f"GRANT ALL ON ALL TABLES IN SCHEMA {name} TO {other.user}" for name in NAMES[1:]),
    )
    there = "SELECT relname, relfilenode FROM pg_class WHERE relnamespace = 'dev_life'::regnamespace ORDER BY 1"
    before = postgresql.execute(there)
    for command in (["migrate"], ["adopt", "--again", "life"]):
        refused = own.run(*command, **other.variables)
        is_sentence(refused)
        assert refused.code == 1 and owner.name in refused.err and other.name in refused.err, refused.err
        assert postgresql.execute(there) == before
    shown = ok(own, "migrate", "--dry-run", code=3, **other.variables)
    assert f"This account may not change dev_life, which belongs to {owner.name}" in " ".join(shown.err.split())
    ok(own, "migrate", **owner.variables)
    for command in (["purge", "--allow-data-loss"], ["rollback", "life", "--to", "1.0.0"]):
        refused = own.run(*command, **other.variables)
        is_sentence(refused)
        assert owner.name in refused.err, refused.err
    ok(own, "purge", "--allow-data-loss", **owner.variables)
    (path,) = (own.folder / "backups").glob("*purge*.zip")
    refused = own.run("restore", str(path), **other.variables)
    is_sentence(refused)
    assert owner.name in refused.err, refused.err
    postgresql.execute(*(f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {other.user}" for name in NAMES[1:]))
    ok(own, "migrate", **other.variables)  # there is nothing to change
    own.write(own.module("life"), CHANGED + MEAL.replace("large'", "large', 'huge'"))
    refused = own.run("migrate", "--draft", **other.variables)
    is_sentence(refused)
    assert owner.name in refused.err, refused.err
    all_belong(postgresql, life=owner.name, work=owner.name)


def test_a_member_that_may_not_become_the_owner_is_told_the_grant_that_lets_it(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    owner, other = accounts("owner", owns=True), accounts("other", owns=True)
    begin(own, owner.variables)
    postgresql.execute(
        f"GRANT {owner.user} TO {other.user} WITH INHERIT TRUE, SET FALSE",
        *(f"GRANT ALL ON ALL TABLES IN SCHEMA {name} TO {other.user}" for name in NAMES[1:]),
    )
    refused = own.run("migrate", **other.variables)
    is_sentence(refused)
    said = " ".join(refused.err.split())
    postgresql.execute(said[said.index("GRANT ") :].rstrip("."))
    ok(own, "migrate", **other.variables)


def test_a_member_that_does_not_inherit_changes_as_the_owner_and_is_told_the_grant_that_lets_it_read(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    owner, other = accounts("owner", owns=True), accounts("other")
    begin(own, owner.variables)
    postgresql.execute(f"GRANT {owner.user} TO {other.user} WITH INHERIT FALSE, SET TRUE")
    grant = f'GRANT "{owner.name}" TO "{other.name}" WITH INHERIT TRUE'
    back = ("rollback", "life", "--to", "1.0.0")
    reading = (("migrate", "--dry-run"), (*back, "--dry-run"), ("log",), ("doctor",), ("status",))
    for command in reading:
        refused = own.run(*command, **other.variables)
        assert refused.code and f"say: {grant}." in " ".join((refused.out + refused.err).split()), (command, refused)
    assert grant in own.python("-c", LOOK, **other.variables).err
    for command in (("migrate",), back, ("migrate",), ("purge", "--allow-data-loss")):
        ok(own, *command, **other.variables)
    all_belong(postgresql, life=owner.name, work=owner.name)
    postgresql.execute(grant)
    for command in reading[2:]:
        ok(own, *command, **other.variables)
    assert own.python("-c", LOOK, **other.variables).out == "2 2\n"


def test_init_makes_schemas_the_accounts_and_tables_the_schemas_owners(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    owner, other = accounts("owner"), accounts("other", owns=True)
    postgresql.execute(*(f"CREATE SCHEMA {name} AUTHORIZATION {owner.user}" for name in NAMES[1:]))
    refused = own.run("init", **other.variables)
    is_sentence(refused)
    assert owner.name in refused.err, refused.err
    ok(own, "init")
    all_belong(postgresql, life=owner.name, work=owner.name)
    assert {state for state, _ in states(own).values()} == {"current"}
    # A schema that is new belongs to whom the others belong, who need not have the right to make any.
    own.write(own.module("more"), LIFE.replace('"life"', '"more"'))
    own.replace(own.module("version"), '"work"', '"more": "1.0.0",\n    "work"')
    ok(own, "init")
    all_belong(postgresql, life=owner.name, work=owner.name, more=owner.name)
    postgresql.drop(*NAMES)
    ok(own, "init", **other.variables)
    all_belong(postgresql, life=other.name, work=other.name, more=other.name)


def test_migrate_makes_a_schema_that_belongs_to_whom_the_others_belong(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    owner = accounts("owner", owns=True)
    begin(own, owner.variables)
    postgresql.execute(f"REVOKE CREATE ON DATABASE postgres FROM {owner.user}")
    own.write(own.module("more"), LIFE.replace('"life"', '"more"'))
    own.replace(own.module("version"), '"work"', '"more": "1.0.0",\n    "work"')
    ok(own, "revise", "more", "-m", "more")
    ok(own, "migrate")
    all_belong(postgresql, life=owner.name, work=owner.name, more=owner.name)
    assert {state for state, _ in states(own).values()} == {"current"}


def test_what_an_earlier_release_mixed_is_told_and_put_right(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    owner, other = accounts("owner", owns=True), accounts("other")
    begin(own, owner.variables)
    step = 'dev_life."~migration_step"'
    postgresql.execute(
        f"DROP TABLE {step}",
        f"CREATE TABLE {step} (run integer, number integer, kind text, state text, words text, statement text, "
        "tables text, before_step text, started_at timestamp, finished_at timestamp)",
        f"GRANT ALL ON SCHEMA dev_life TO {other.user}",
        f"ALTER TABLE {step} OWNER TO {other.user}",
    )
    refused = own.run("migrate", **owner.variables)
    is_sentence(refused)
    assert other.name in refused.err and '"~migration_step" OWNER TO' in refused.err, refused.err
    # Whoever may act for both does it.
    postgresql.execute(f"GRANT {other.user} TO {owner.user}")
    ok(own, "migrate", **owner.variables)
    all_belong(postgresql, life=owner.name, work=owner.name)
    postgresql.execute(f"REVOKE {other.user} FROM {owner.user}")

    # Tables that the administrator made are told to whoever cannot read them, and change hands.
    postgresql.execute("ALTER TABLE dev_life.__meal OWNER TO postgres")
    answer = own.run("status", "--json", **owner.variables)
    life = answer.json["schemas"][0]
    assert answer.code == 3 and life["state"] == "unreadable" and life["unreadable"] == ["__meal"], answer.out
    assert "__meal" in own.run("status", **owner.variables).out
    looked = own.python("-c", LOOK, **owner.variables)
    assert looked.out == "2 2\n" and "cannot read 1 of 3 tables" in looked.err, looked.err
    postgresql.execute(*(f"ALTER TABLE dev_life.{name} OWNER TO postgres" for name in ("animal", "weight")))
    looked = own.python("-c", LOOK, **owner.variables)
    assert looked.code == 1 and "can read none of the tables" in looked.err, looked.err
    told = " ".join(ok(own, "migrate").err.split())
    assert f"__meal, animal, weight in dev_life belong to {owner.name} from now on" in told, told
    all_belong(postgresql, life=owner.name, work=owner.name)
    assert own.python("-c", LOOK, **owner.variables).out == "2 2\n"

    # Nobody is told that there is no record where there is one.
    postgresql.execute('ALTER TABLE dev_life."~migration" OWNER TO postgres')
    life = own.run("status", "--json", **owner.variables).json["schemas"][0]
    assert life["state"] == "unreadable" and life["unreadable"] == ["~migration"]
    refused = own.run("init", **owner.variables)
    is_sentence(refused)
    assert "may not read" in refused.err


def test_what_all_belongs_to_an_account_that_works_with_it_stays_so(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    """A server's administrator made the schemas, and let the account make the tables, by an earlier release."""
    owner = accounts("owner", owns=True)
    begin(own, owner.variables)
    postgresql.execute(
        *(f"ALTER SCHEMA {name} OWNER TO postgres" for name in NAMES[1:]),
        *(f"GRANT ALL ON SCHEMA {name} TO {owner.user}" for name in NAMES[1:]),
    )
    for who in (owner.variables, {}):
        ok(own, "migrate", **who)
        found = postgresql.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname LIKE 'dev\\_%'")
        assert found == [(owner.name,)]
        ok(own, "rollback", "life", "--to", "1.0.0", **who)


def test_schemas_of_several_owners_are_changed_by_one_migration(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    owner, other = accounts("owner"), accounts("other")
    postgresql.execute(
        f"CREATE SCHEMA dev_life AUTHORIZATION {owner.user}", f"CREATE SCHEMA dev_work AUTHORIZATION {other.user}"
    )
    begin(own, {})
    all_belong(postgresql, life=owner.name, work=other.name)
    own.replace(own.module("work"), "    score : int32", "    rank = null : int32\n    score : int32")
    ok(own, "revise", "work", "-m", "ranks")
    ok(own, "migrate")
    all_belong(postgresql, life=owner.name, work=other.name)
    assert {state for state, _ in states(own).values()} == {"current"}
    # Each goes on with his own, and is refused where it is the other's.
    postgresql.execute(
        f"GRANT USAGE ON SCHEMA dev_work TO {owner.user}",
        f"GRANT SELECT, REFERENCES ON ALL TABLES IN SCHEMA dev_work TO {owner.user}",
    )
    own.replace(own.module("life"), "varchar(64)", "varchar(99)")
    ok(own, "revise", "life", "-m", "long")
    ok(own, "migrate", **owner.variables)
    all_belong(postgresql, life=owner.name, work=other.name)
    own.replace(own.module("work"), "rank = null : int32", "rank = null : int64")
    ok(own, "revise", "work", "-m", "longer")
    refused = own.run("migrate", **owner.variables)
    assert refused.code == 1 and other.name in refused.err, refused.err


def test_rows_that_a_policy_hides_stop_everything_that_would_count_or_keep_them(
    own: Project, postgresql: Server, accounts: Callable[..., Account]
) -> None:
    """The owner of a table sees what its policies let him, where the table says FORCE; a cut would lose the others."""
    who = accounts("owner", owns=True).variables
    ok(own, "init", **who)
    assert own.python("-c", FILL, **who).code == 0
    own.replace(own.module("life"), "    name : varchar(32)", "    name : varchar(2)")
    ok(own, "revise", "-m", "shorter")
    table = "ALTER TABLE dev_life.animal"
    postgresql.execute(
        f"{table} ENABLE ROW LEVEL SECURITY",
        f"{table} FORCE ROW LEVEL SECURITY",
        "CREATE POLICY one ON dev_life.animal USING (animal_id = 1)",
    )
    before = postgresql.execute("SELECT * FROM dev_life.animal ORDER BY 1")
    for command in (["migrate", "--dry-run"], ["migrate", "--allow-data-loss"]):
        refused = own.run(*command, **who)
        is_sentence(refused)
        assert "A policy of row security hides rows" in refused.err and "BYPASSRLS" in refused.err, refused.err
    assert postgresql.execute("SELECT * FROM dev_life.animal ORDER BY 1") == before
    assert not list((own.folder / "backups").glob("*.zip"))
    postgresql.execute(f"{table} NO FORCE ROW LEVEL SECURITY")
    assert "(2 rows)" in ok(own, "migrate", "--allow-data-loss", **who).out
