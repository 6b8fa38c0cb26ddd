"""What people do to rights by hand: statements of an administrator, and the words by which ``access check`` names each."""

from __future__ import annotations

from conftest import Server
from granted import LOGINS, quoted

#: A word for each account and role that the statements are about.
Deviation = tuple[str, str, str]


def deviations(server: Server, prefix: str) -> list[Deviation]:
    """What it is, the statements with semicolons between them, and a part of what ``check`` says."""
    return (_mysql if server.backend == "mysql" else _postgresql)(server, prefix)


def _mysql(server: Server, prefix: str) -> list[Deviation]:
    role = {name: f"`{prefix}my_pipeline_prod_{name}`@`%`" for name in LOGINS}
    login = {name: f"{quoted(server, text)}@`%`" for name, text in LOGINS.items()}
    spelled = prefix.replace("_", r"\_")
    subject, session, ephys, analysis = (f"`{prefix}{name}`" for name in ("subject", "session", "ephys", "analysis"))
    return [
        ("schema, one right too many", f"GRANT INSERT ON `{spelled}subject`.* TO {role['viewer']}",
         f"nothing gives the viewer role INSERT on {prefix}subject"),
        ("table, one right too many", f"GRANT UPDATE ON {subject}.subject TO {role['operator']}",
         f"operator role UPDATE on {prefix}subject.subject"),
        ("column, one right too many", f"GRANT UPDATE (note) ON {session}.session TO {role['operator']}",
         f"operator role UPDATE on {prefix}session.session.note"),
        ("lineage", f"GRANT DELETE ON {subject}.`~lineage` TO {role['analyst']}",
         f"analyst role DELETE on {prefix}subject.~lineage"),
        ("journal", f"GRANT INSERT ON {ephys}.`~migration` TO {role['operator']}",
         f"operator role INSERT on {prefix}ephys.~migration"),
        ("record of access", f"GRANT UPDATE ON {subject}.`~access` TO {role['analyst']}",
         f"analyst role UPDATE on {prefix}subject.~access"),
        ("a right is gone", f"REVOKE INSERT ON {ephys}.`_recording` FROM {role['operator']}",
         f"GRANT INSERT, UPDATE (`_job_version`) ON {ephys}.`_recording`"),
        ("a column's right is gone", f"REVOKE UPDATE (_job_version) ON {ephys}.`_recording` FROM {role['operator']}",
         "populate notes when and by which version"),
        ("a schema cannot be read", f"REVOKE SELECT ON `{spelled}analysis`.* FROM {role['viewer']}",
         "a viewer reads analysis"),
        ("no default role", f"SET DEFAULT ROLE NONE TO {login['analyst']}",
         "analyst is an analyst of prod (access.toml, line 5); a role does nothing until it is active"),
        ("a role is taken away", f"REVOKE {role['viewer']} FROM {login['viewer']}",
         f"GRANT {role['viewer']} TO {login['viewer']}"),
        ("a role is dropped", f"DROP ROLE {role['developer']}", "what a developer of prod may do"),
        ("an account is dropped", f"DROP USER {login['developer']}", "developer is a viewer of prod"),
        ("orphan", f"CREATE TABLE {subject}.tmp (id int PRIMARY KEY); GRANT SELECT ON {subject}.tmp TO {role['viewer']};"
         f" DROP TABLE {subject}.tmp", f"{prefix}subject.tmp is not there"),
        ("orphan of a column", f"CREATE TABLE {subject}.tmp (id int PRIMARY KEY, x int);"
         f" GRANT UPDATE (x) ON {subject}.tmp TO {role['analyst']}; DROP TABLE {subject}.tmp",
         f"{prefix}subject.tmp is not there"),
        ("pattern", rf"GRANT SELECT ON `{spelled}%`.* TO {role['viewer']}", rf"the pattern {spelled}% covers"),
        ("name without backslash", f"GRANT SELECT ON `{prefix}session`.* TO {role['viewer']}",
         f"the pattern {prefix}session covers"),
        ("a person's own right", f"GRANT DELETE ON {session}.session TO {login['analyst']}",
         f"o'brien has DELETE on {prefix}session.session directly"),
        ("who has which rights", f"GRANT INSERT ON mysql.* TO {login['analyst']}",
         "o'brien has INSERT on mysql directly"),
        ("a person's right on all", f"GRANT SELECT ON *.* TO {login['analyst']}",
         "o'brien has SELECT on everything directly"),
        ("a role's right on all", f"GRANT PROCESS ON *.* TO {role['operator']}", "operator role PROCESS on everything"),
        ("a role and the right to give it", f"GRANT {role['viewer']} TO {login['analyst']} WITH ADMIN OPTION",
         "analyst has viewer, and access.toml does not say so"),
        ("a stranger is an admin", f"CREATE USER {prefix}mallory; GRANT {role['admin']} TO {prefix}mallory",
         f"{prefix}mallory has admin, and access.toml does not say so"),
        ("a second role, active", f"GRANT {role['operator']} TO {login['viewer']};"
         f" SET DEFAULT ROLE {role['operator']} TO {login['viewer']}", "viewer has operator"),
        ("a role within ours", f"CREATE ROLE {prefix}super; GRANT {prefix}super TO {role['viewer']}",
         f"has {prefix}super, and access.toml"),
        ("a stranger's schema", f"GRANT ALL ON `{spelled}ephys`.* TO {prefix}mallory", f"on {prefix}ephys"),
        ("a stranger's table", f"GRANT SELECT ON {session}.session TO {prefix}mallory",
         f"{prefix}mallory has SELECT on {prefix}session.session"),
        ("a stranger's pattern", f"CREATE USER {prefix}backup; GRANT SELECT ON `{prefix[0]}%`.* TO {prefix}backup",
         f"{prefix}backup has SELECT on {prefix[0]}%"),
        ("passing a schema on", f"GRANT USAGE ON `{spelled}session`.* TO {role['viewer']} WITH GRANT OPTION",
         f"viewer role GRANT OPTION on {prefix}session"),
        ("passing a table on", f"GRANT INSERT ON {analysis}.note TO {role['operator']} WITH GRANT OPTION",
         f"operator role GRANT OPTION on {prefix}analysis.note"),
        ("the same name from one host", f"CREATE USER {quoted(server, LOGINS['viewer'])}@localhost;"
         f" GRANT INSERT ON {subject}.subject TO {quoted(server, LOGINS['viewer'])}@localhost",
         f"{LOGINS['viewer']}@localhost has INSERT on {prefix}subject.subject"),
        ("an admin cannot make accounts", f"REVOKE CREATE USER ON *.* FROM {role['admin']}",
         "an admin makes accounts, gives them roles"),
        ("a new table", f"CREATE TABLE {analysis}.fresh (id int PRIMARY KEY)", f"{analysis}.`fresh`"),
    ]  # fmt: skip


def _postgresql(server: Server, prefix: str) -> list[Deviation]:
    role = {name: f'"{prefix}my_pipeline_prod_{name}"' for name in (*LOGINS, "owner")}
    login = {name: quoted(server, text) for name, text in LOGINS.items()}
    subject, session, ephys, analysis = (f'"{prefix}{name}"' for name in ("subject", "session", "ephys", "analysis"))
    return [
        ("one right too many", f"GRANT INSERT ON {subject}.subject TO {role['viewer']}",
         f"viewer role INSERT on {prefix}subject.subject"),
        ("column, one right too many", f"GRANT UPDATE (note) ON {session}.session TO {role['operator']}",
         f"operator role UPDATE on {prefix}session.session.note"),
        ("lineage", f'GRANT DELETE ON {subject}."~lineage" TO {role["analyst"]}',
         f"analyst role DELETE on {prefix}subject.~lineage"),
        ("journal", f'GRANT INSERT ON {ephys}."~migration" TO {role["operator"]}',
         f"operator role INSERT on {prefix}ephys.~migration"),
        ("record of access", f'GRANT UPDATE ON {subject}."~access" TO {role["analyst"]}',
         f"analyst role UPDATE on {prefix}subject.~access"),
        ("emptying", f"GRANT TRUNCATE ON {ephys}._recording TO {role['operator']}",
         f"operator role TRUNCATE on {prefix}ephys._recording"),
        ("a right is gone", f"REVOKE INSERT ON {ephys}._recording FROM {role['operator']}",
         "an operator populates Imported tables"),
        ("a column's right is gone", f"REVOKE UPDATE (_job_version) ON {ephys}._recording FROM {role['operator']}",
         "populate notes when and by which version"),
        ("a table cannot be read", f"REVOKE SELECT ON {analysis}.note FROM {role['viewer']}",
         f'GRANT SELECT ON TABLE {analysis}."note"'),
        ("keys are hidden", f"REVOKE REFERENCES (note) ON {subject}.subject FROM {role['viewer']}",
         "DataJoint finds the primary key only with a right beyond SELECT"),
        ("a schema is closed", f"REVOKE USAGE ON SCHEMA {analysis} FROM {role['viewer']}", f"GRANT USAGE ON SCHEMA {analysis}"),
        ("a viewer could block deletes", f"GRANT REFERENCES ON {subject}.subject TO {role['viewer']}",
         f"viewer role REFERENCES on {prefix}subject.subject"),
        ("a viewer makes tables", f"GRANT CREATE ON SCHEMA {session} TO {role['viewer']}",
         f"viewer role CREATE on {prefix}session"),
        ("a role is taken away", f"REVOKE {role['viewer']} FROM {login['viewer']} GRANTED BY {role['admin']}",
         f"GRANT {role['viewer']} TO {login['viewer']}"),
        ("a role is dropped", f"DROP OWNED BY {role['developer']}; DROP ROLE {role['developer']}",
         "what a developer of prod may do"),
        ("an account is dropped", f"DROP ROLE {login['developer']}", "developer is a viewer of prod"),
        ("a person's own right", f"GRANT DELETE ON {session}.session TO {login['analyst']}",
         f"o'brien has DELETE on {prefix}session.session directly"),
        ("a role and the right to give it", f"GRANT {role['viewer']} TO {login['analyst']} WITH ADMIN OPTION",
         "analyst has viewer, and access.toml does not say so"),
        ("a stranger is an admin", f"CREATE ROLE {prefix}mallory LOGIN; GRANT {role['admin']} TO {prefix}mallory",
         f"{prefix}mallory has admin, and access.toml does not say so"),
        ("a role within ours", f"CREATE ROLE {prefix}super; GRANT {prefix}super TO {role['viewer']}",
         f"has {prefix}super, and access.toml"),
        ("a stranger's table", f"GRANT SELECT ON {session}.session TO {prefix}mallory",
         f"{prefix}mallory has SELECT on {prefix}session.session"),
        ("a stranger's schema", f"GRANT USAGE ON SCHEMA {ephys} TO {prefix}mallory",
         f"{prefix}mallory has USAGE on {prefix}ephys"),
        ("everybody reads", f"GRANT SELECT ON {analysis}.__result TO PUBLIC",
         f"everybody (PUBLIC) has SELECT on {prefix}analysis.__result"),
        ("passing a right on", f"GRANT SELECT ON {subject}.subject TO {role['viewer']} WITH GRANT OPTION",
         f"viewer role GRANT OPTION FOR SELECT on {prefix}subject.subject"),
        ("a table's owner", f"ALTER TABLE {session}.session OWNER TO {login['admin']}",
         f'ALTER TABLE {session}."session" OWNER TO {role["owner"]}'),
        ("a schema's owner", f"ALTER SCHEMA {ephys} OWNER TO {login['admin']}",
         f"ALTER SCHEMA {ephys} OWNER TO {role['owner']}"),
        ("a stranger owns a table", f"CREATE ROLE {prefix}stranger; CREATE TABLE {analysis}.theirs (id int);"
         f" ALTER TABLE {analysis}.theirs OWNER TO {prefix}stranger", f"{prefix}stranger owns table {prefix}analysis.theirs"),
        ("no rights on what will be", f"ALTER DEFAULT PRIVILEGES FOR ROLE {role['owner']} REVOKE SELECT ON TABLES FROM {role['viewer']}",
         "a viewer reads what will be made, too"),
        ("too many on what will be", f"ALTER DEFAULT PRIVILEGES FOR ROLE {role['owner']} GRANT INSERT ON TABLES TO {role['analyst']}",
         "gets INSERT on what"),
        ("too many on what will be in one schema",
         f"ALTER DEFAULT PRIVILEGES FOR ROLE {role['owner']} IN SCHEMA {session} GRANT DELETE ON TABLES TO {role['analyst']}",
         f"gets DELETE on what {prefix}my_pipeline_prod_owner makes in {prefix}session"),
        ("the functions that will be", f"ALTER DEFAULT PRIVILEGES FOR ROLE {role['owner']} GRANT EXECUTE ON FUNCTIONS TO {role['viewer']}",
         "gets EXECUTE on what"),
        ("somebody acts as the owner", f"ALTER ROLE {login['viewer']} IN DATABASE postgres SET role = '{role['owner'][1:-1]}'",
         f"{LOGINS['viewer']} no longer makes tables here"),
        ("an admin cannot make accounts", f"ALTER ROLE {login['admin']} NOCREATEROLE", "is an admin, and makes accounts"),
        ("somebody may make accounts", f"ALTER ROLE {login['analyst']} CREATEROLE", "o'brien is not an admin, but may make accounts"),
        ("the owner makes no schemas", f"REVOKE CREATE ON DATABASE postgres FROM {role['owner']}", "the owner makes schemas"),
        ("a viewer makes schemas", f"GRANT CREATE ON DATABASE postgres TO {role['viewer']}", "viewer role CREATE on everything"),
        ("a new table", f"CREATE TABLE {analysis}.fresh (id int PRIMARY KEY)", f'{analysis}."fresh"'),
    ]  # fmt: skip


def bypasses(server: Server, prefix: str) -> list[tuple[str, str]]:
    """What gives more than its rights say: the statements, and what ``check`` says, up to what takes it away."""
    role = {name: f"{prefix}my_pipeline_prod_{name}" for name in (*LOGINS, "owner")}
    login = {name: quoted(server, text) for name, text in LOGINS.items()}
    if server.backend == "mysql":
        subject = f"`{prefix}subject`"
        return [
            (f"CREATE PROCEDURE {subject}.own() DELETE FROM {subject}.subject;"
             f" GRANT EXECUTE ON PROCEDURE {subject}.own TO {login['viewer']}@`%`",
             f"{LOGINS['viewer']} has rights on the procedure {prefix}subject.own"),
            (f"ALTER USER `{role['viewer']}`@`%` IDENTIFIED BY 'a-word-of-hers-1' ACCOUNT UNLOCK",
             f"{role['viewer']} can log in"),
            (f"CREATE ROLE {prefix}group; GRANT {prefix}group TO {login['viewer']}@`%`",
             f"{LOGINS['viewer']} has {prefix}group, and access.toml does not say so"),
            (f"GRANT {login['developer']}@`%` TO {login['analyst']}@`%`",
             f"{LOGINS['analyst']} has {LOGINS['developer']}, and access.toml does not say so"),
        ]  # fmt: skip
    function = f"{prefix}subject.own()"
    return [
        (f"ALTER ROLE {login['viewer']} BYPASSRLS CREATEDB", f"{LOGINS['viewer']} is BYPASSRLS, CREATEDB"),
        (f"ALTER ROLE {role['owner']} SUPERUSER", f"{role['owner']} is SUPERUSER"),
        (f"ALTER ROLE {role['viewer']} LOGIN", f"{role['viewer']} is LOGIN"),
        (f"GRANT CREATE ON SCHEMA public TO {login['viewer']}", f"{LOGINS['viewer']} has CREATE on public"),
        (f"CREATE SEQUENCE {prefix}subject.\"~own\"; GRANT UPDATE ON SEQUENCE {prefix}subject.\"~own\" TO {login['operator']}",
         f"{LOGINS['operator']} has UPDATE on the sequence {prefix}subject.~own"),
        (f"CREATE FUNCTION {function} RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
         f"everybody (PUBLIC) may use the function {function} with the rights of {server.user}"),
        (f"ALTER ROLE {login['analyst']} SET session_replication_role = replica",
         f"the sessions of {LOGINS['analyst']} have session_replication_role=replica"),
        (f"GRANT SET ON PARAMETER session_replication_role TO {login['analyst']}",
         f"{LOGINS['analyst']} has SET on the parameter session_replication_role"),
        (f"CREATE SCHEMA {login['viewer']} AUTHORIZATION {login['analyst']}",
         f"{LOGINS['analyst']} has a schema called {LOGINS['viewer']}, which sessions of that account search first"),
        (f"GRANT pg_write_all_data TO {login['analyst']}",
         f"{LOGINS['analyst']} has pg_write_all_data, and access.toml does not say so"),
        (f"GRANT {login['developer']} TO {login['analyst']}",
         f"{LOGINS['analyst']} has {LOGINS['developer']}, and access.toml does not say so"),
    ]  # fmt: skip


def clean(server: Server, prefix: str) -> None:
    """Take away the strangers."""
    for name in ("mallory", "super", "backup", "stranger"):
        if server.backend == "mysql":
            server.execute(f"DROP USER IF EXISTS {prefix}{name}")
        elif server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{prefix}{name}'"):
            server.execute(f"DROP OWNED BY {prefix}{name} CASCADE", f"DROP ROLE {prefix}{name}")
    if server.backend == "mysql":
        server.execute(f"DROP USER IF EXISTS {quoted(server, LOGINS['viewer'])}@localhost")
