"""Rights on PostgreSQL: read from the access lists of the catalogue, given table by table, with roles that own."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ...internals.connection import new_password, postgresql_version, rows_of
from ...quoting import quote
from ..rights import (
    GRANT_OPTION,
    PUBLIC,
    Acts,
    Bypass,
    Expires,
    Fact,
    FutureRight,
    Login,
    MakesRoles,
    Mark,
    Member,
    Owns,
    Password,
    Place,
    Right,
    Role,
    Server,
    Standing,
    Statement,
    Table,
    Tables,
    grouped,
    upstream,
)

if TYPE_CHECKING:
    import datajoint as dj

_PASSING = f"{GRANT_OPTION} FOR "

#: Rights on relations and their columns, by namespaces whose number is given; owners' own rights are left out.
_RELATION_RIGHTS = """
SELECT n.nspname, c.relname, '', a.grantee, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(c.relacl) a
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND a.grantee <> c.relowner
    AND (n.nspname IN ({marks}) OR a.grantee = ANY (%s))
UNION ALL
SELECT n.nspname, c.relname, t.attname, a.grantee, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(t.attacl) a
WHERE t.attnum > 0 AND NOT t.attisdropped AND a.grantee <> c.relowner
    AND (n.nspname IN ({marks}) OR a.grantee = ANY (%s))
"""

_OTHER_RIGHTS = """
SELECT 'schema', n.nspname, n.nspowner, a.grantee, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
WHERE a.grantee <> n.nspowner AND (n.nspname IN ({marks}) OR a.grantee = ANY (%s))
UNION ALL
SELECT 'database', '', d.datdba, a.grantee, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) a
WHERE d.datname = current_database() AND a.grantee = ANY (%s)
UNION ALL
SELECT 'future ' || f.defaclobjtype::text, COALESCE(n.nspname, ''), f.defaclrole, a.grantee, a.privilege_type,
    a.is_grantable
FROM pg_catalog.pg_default_acl f LEFT JOIN pg_catalog.pg_namespace n ON n.oid = f.defaclnamespace
CROSS JOIN LATERAL aclexplode(f.defaclacl) a
WHERE a.grantee <> f.defaclrole AND f.defaclobjtype IN ('r', 'n', 'S', 'f', 'T')
    AND NOT (a.grantee = 0 AND n.oid IS NULL AND f.defaclobjtype IN ('f', 'T'))
    AND (f.defaclrole = ANY (%s) OR a.grantee = ANY (%s))
"""

#: What ``ALTER DEFAULT PRIVILEGES`` calls each kind of thing.
_KINDS = {"r": "TABLES", "n": "SCHEMAS", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES"}

#: What lets a role do more than its rights say. A sequence of a hidden table numbers its rows. What somebody makes in
#: ``public`` others run without knowing it, as it stands in their ``search_path``. A function with its owner's rights
#: that one may use can be called, or be made the trigger of a temporary table of one's own.
_BYPASSES = """
SELECT 'attribute', r.oid, concat_ws(', ', CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
    CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
    CASE WHEN r.rolcreatedb THEN 'CREATEDB' END), CASE WHEN r.rolcanlogin THEN 'LOGIN' ELSE '' END
FROM pg_catalog.pg_roles r WHERE r.oid = ANY (%s)
UNION ALL
SELECT 'public', a.grantee, '', '' FROM pg_catalog.pg_namespace n
CROSS JOIN LATERAL aclexplode(COALESCE(n.nspacl, acldefault('n', n.nspowner))) a
WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE' AND (a.grantee = 0 OR a.grantee = ANY (%s))
UNION ALL
SELECT 'sequence', a.grantee, n.nspname || '.' || c.relname,
    string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(c.relacl) a
WHERE c.relkind = 'S' AND c.relname LIKE '~%%' AND n.nspname IN ({marks}) AND a.grantee <> c.relowner
    AND a.privilege_type <> 'SELECT'
GROUP BY 2, 3
UNION ALL
SELECT 'function', a.grantee, p.oid::regprocedure::text, pg_get_userbyid(p.proowner)
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
CROSS JOIN LATERAL aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a
WHERE p.prosecdef AND n.nspname IN ({marks}) AND a.grantee <> p.proowner AND (a.grantee = 0 OR a.grantee = ANY (%s))
UNION ALL
SELECT 'schema', n.nspowner, n.nspname, '' FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_roles r ON r.rolname = n.nspname AND r.oid <> n.nspowner WHERE r.oid = ANY (%s)
UNION ALL
SELECT 'setting', s.setrole, COALESCE(d.datname, ''), c
FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
CROSS JOIN LATERAL unnest(s.setconfig) c
WHERE split_part(c, '=', 1) = 'session_replication_role' AND split_part(c, '=', 2) <> 'origin'
    AND (s.setrole = 0 OR s.setrole = ANY (%s)) AND COALESCE(d.datname, current_database()) = current_database()
"""

#: The same of settings that one otherwise needs to be a superuser for, since 15.
_PARAMETERS = """
UNION ALL
SELECT 'parameter', a.grantee, p.parname, a.privilege_type
FROM pg_catalog.pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) a
WHERE a.grantee = ANY (%s) OR (a.grantee = 0 AND p.parname = 'session_replication_role')
"""

_THINGS = """
SELECT 'SCHEMA', n.nspname, '', n.nspowner, NULL FROM pg_catalog.pg_namespace n WHERE n.nspname IN ({marks})
UNION ALL
SELECT 'TABLE', n.nspname, c.relname, c.relowner, (
    SELECT jsonb_agg(jsonb_build_array(t.attnum, t.attname, COALESCE(t.attnum = ANY (k.conkey), false)))
    FROM pg_catalog.pg_attribute t
    LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
    WHERE t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped
) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ({marks})
UNION ALL
SELECT 'TYPE', n.nspname, t.typname, t.typowner, NULL
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND n.nspname IN ({marks})
"""

_PARENTS = """
SELECT DISTINCT n.nspname, c.relname, m.nspname, p.relname
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace m ON m.oid = p.relnamespace
WHERE k.contype = 'f'
"""


class PostgreSQLRights(Server):
    """The rights on a database of PostgreSQL. Roles are the whole server's."""

    backend = "postgresql"
    longest = 63
    # A right that is taken back on a table goes on its columns, too; what is given there comes after that.
    revokes_first = True

    # --- Reading -----------------------------------------------------------------------------------------------------

    def read(self, databases: Collection[str], logins: Collection[str], pipeline: str) -> Standing:
        ((database, user),) = self._rows("SELECT current_database(), session_user")
        names, marks, supers, makers, sleeping, left = self._roles()
        ours = {name for name, mark in marks.items() if mark.pipeline == pipeline} | set(logins)
        numbers = [number for number, name in names.items() if name in ours]
        facts: set[Fact] = {Role(name) for name, mark in marks.items() if mark.pipeline == pipeline and mark.role}
        there = set(names.values())
        facts |= {Login(name) for name in logins if name in there and name not in sleeping}
        facts |= {MakesRoles(name) for name in makers if name in ours}

        def named(number: int) -> str:
            return names.get(number, PUBLIC)

        members, grantors = self._members(ours)
        facts |= members
        schemas = list(databases) or [""]
        marks_of = ", ".join(["%s"] * len(schemas))
        relations = _RELATION_RIGHTS.format(marks=marks_of)
        for schema, table, column, grantee, privilege, passing in self._rows(
            relations, *schemas, numbers, *schemas, numbers
        ):
            facts |= _both(Right(named(grantee), privilege, schema, table, column), passing)
        for kind, schema, owner, grantee, privilege, passing in self._rows(
            _OTHER_RIGHTS.format(marks=marks_of), *schemas, numbers, numbers, numbers, numbers
        ):
            if kind.startswith("future"):
                facts.add(FutureRight(named(owner), named(grantee), privilege, _KINDS[kind[-1]], schema))
            else:
                facts |= _both(Right(named(grantee), privilege, schema), passing)
        for login, role in self._rows(
            "SELECT r.rolname, split_part(c, '=', 2) FROM pg_catalog.pg_db_role_setting s "
            "JOIN pg_catalog.pg_roles r ON r.oid = s.setrole "
            "JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = current_database() "
            "CROSS JOIN LATERAL unnest(s.setconfig) c WHERE split_part(c, '=', 1) = 'role'"
        ):
            if login in ours:
                facts.add(Acts(login, role.strip('"')))
        parents = {((a, b), (c, d)) for a, b, c, d in self._rows(_PARENTS)}
        tables: dict[Place, Table] = {}
        every = [*schemas, *sorted(upstream(Tables(parents=parents), databases))]
        things = _THINGS.format(marks=", ".join(["%s"] * len(every)))
        for kind, schema, name, owner, columns in self._rows(things, *every * 3):
            facts.add(Owns(named(owner), schema, name, kind))
            if kind == "TABLE":
                listed = sorted(columns or [])
                tables[schema, name] = Table(
                    tuple(column for _, column, _ in listed), tuple(column for _, column, key in listed if key)
                )
        return Standing(
            facts=frozenset(
                fact
                for fact in facts
                if not (isinstance(fact, Right) and fact.holder in supers and fact.holder not in ours)
            ),
            marks=marks,
            names=frozenset(there),
            superusers=frozenset(supers),
            tables=Tables(tables, frozenset(parents)),
            databases=frozenset(f.database for f in facts if isinstance(f, Owns)) & frozenset(databases),
            user=str(user),
            database=str(database),
            passwords={name: Password(left=left.get(name)) for name in logins if name in there},
            grantors=grantors,
            bypasses=frozenset(
                Bypass(holder, words)
                for holder, words in self._bypasses(schemas, numbers, named, marks)
                if holder == PUBLIC or holder in marks
            ),
        )

    def _bypasses(
        self,
        schemas: Collection[str],
        numbers: Collection[int],
        named: Callable[[int], str],
        marks: Mapping[str, Mark],
    ) -> Iterator[tuple[str, str]]:
        """Give what lets somebody do more than its rights say, with whom it is about."""
        query = _BYPASSES.format(marks=", ".join(["%s"] * len(schemas)))
        values: list[object] = [numbers, numbers, *schemas, *schemas, numbers, numbers, numbers]
        if postgresql_version(self.connection) >= 15:
            query, values = query + _PARAMETERS, [*values, numbers]
        for kind, number, first, second in self._rows(query, *values):
            holder = named(number)
            who, to = ("everybody (PUBLIC)", PUBLIC) if holder == PUBLIC else (holder, _role(holder))
            match kind:
                case "attribute":
                    is_role = holder in marks and bool(marks[holder].role)
                    words = [*filter(None, first.split(", ")), *([second] if second and is_role else [])]
                    if words:
                        undo = " ".join(f"NO{word}" for word in words)
                        yield holder, f"{who} is {', '.join(words)}; ALTER ROLE {to} {undo}"
                case "public":
                    yield (
                        holder,
                        f"{who} has CREATE on public, and others run what is made there; "
                        f"REVOKE CREATE ON SCHEMA public FROM {to}",
                    )
                case "sequence":
                    where = quote(self.backend, *first.split(".", 1))
                    yield (
                        holder,
                        f"{who} has {second} on the sequence {first}; REVOKE ALL ON SEQUENCE {where} FROM {to}",
                    )
                case "function":
                    yield (
                        holder,
                        f"{who} may use the function {first} with the rights of {second}; "
                        f"REVOKE EXECUTE ON FUNCTION {first} FROM {to}",
                    )
                case "schema":
                    yield holder, f"{who} has a schema called {first}, which sessions of that account search first"
                case "setting":
                    every = f" IN DATABASE {quote(self.backend, first)}" if first else ""
                    whose = "ALL" if holder == PUBLIC else to
                    yield (
                        holder,
                        f"the sessions of {who} have {second}, so no trigger fires; "
                        f"ALTER ROLE {whose}{every} RESET session_replication_role",
                    )
                case "parameter":
                    yield (
                        holder,
                        f"{who} has {second} on the parameter {first}; REVOKE {second} ON PARAMETER {first} FROM {to}",
                    )

    def _roles(self) -> tuple[dict[int, str], dict[str, Mark], set[str], set[str], set[str], dict[str, float]]:
        """Give every role by its number; marks; superusers; who makes roles; accounts not handed over yet; and how many
        days the passwords are still valid that are not for ever.
        """
        names, marks = dict[int, str](), dict[str, Mark]()
        supers, makers, sleeping, left = set[str](), set[str](), set[str](), dict[str, float]()
        for number, name, is_super, makes, comment, days in self._rows(
            "SELECT oid, rolname, rolsuper, rolcreaterole, shobj_description(oid, 'pg_authid'), CASE WHEN "
            "isfinite(rolvaliduntil) THEN (EXTRACT(EPOCH FROM rolvaliduntil - now()) / 86400)::float END "
            "FROM pg_catalog.pg_roles"
        ):
            names[number] = name
            left |= {} if days is None else {name: float(days)}
            supers |= {name} if is_super else set()
            makers |= {name} if makes else set()
            mark = _mark(comment)
            if mark:
                marks[name] = mark
                sleeping |= {name} if mark.new else set()
        return names, marks, supers, makers, sleeping, left

    def _members(self, ours: Collection[str]) -> tuple[set[Fact], dict[Member, tuple[str, ...]]]:
        facts, grantors = set[Fact](), dict[Member, set[str]]()
        for role, member, admin, grantor in self._rows(
            "SELECT r.rolname, m.rolname, a.admin_option, g.rolname FROM pg_catalog.pg_auth_members a "
            "JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member "
            "LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantor" + self._real_members
        ):
            if role not in ours and member not in ours:
                continue
            for fact in (Member(role, member), *([Member(role, member, admin=True)] if admin else [])):
                facts.add(fact)
                grantors.setdefault(fact, set()).add(grantor or "")
        return facts, {fact: tuple(sorted(found)) for fact, found in grantors.items()}

    @property
    def _real_members(self) -> str:
        """Leave out what a maker of roles has of what it made since 16: neither their rights nor the way to be them."""
        return " WHERE a.inherit_option OR a.set_option" if postgresql_version(self.connection) >= 16 else ""

    # --- Statements --------------------------------------------------------------------------------------------------

    def holds(self, fact: Fact, standing: Standing) -> bool:
        if not isinstance(fact, Expires):
            return super().holds(fact, standing)
        left = standing.passwords[fact.login].left if fact.login in standing.passwords else None
        if not fact.days:
            return fact.login in standing.passwords and left is None
        return left is not None and left <= fact.days + 1  # the end of the last day

    def grants(self, facts: Collection[Fact], standing: Standing, marks: Mapping[str, Mark]) -> Iterator[Statement]:
        for role in sorted(fact for fact in facts if isinstance(fact, Role)):
            if role.name not in standing.names:
                yield Statement(f"CREATE ROLE {_role(role.name)} NOLOGIN", (role,))
            yield Statement(f"COMMENT ON ROLE {_role(role.name)} IS {_comment(marks[role.name])}", (role,))
        for login in sorted(fact for fact in facts if isinstance(fact, Login)):
            yield Statement(f"CREATE ROLE {_role(login.name)} LOGIN PASSWORD 'SCRAM-SHA-256$…'", (login,))
        expiries = sorted(fact for fact in facts if isinstance(fact, Expires))
        until = {days: valid_until(self.connection, days) for days in sorted({fact.days for fact in expiries})}
        for expiry in expiries:
            yield Statement(f"ALTER ROLE {_role(expiry.login)} VALID UNTIL '{until[expiry.days]}'", (expiry,))
        for maker in sorted(fact for fact in facts if isinstance(fact, MakesRoles)):
            yield Statement(f"ALTER ROLE {_role(maker.login)} CREATEROLE", (maker,))
        members = {fact for fact in facts if isinstance(fact, Member)}
        for member in sorted(members, key=lambda fact: (not fact.admin, fact)):
            plain = Member(member.role, member.member)
            if member.admin or Member(member.role, member.member, admin=True) not in members:
                option = " WITH ADMIN OPTION" if member.admin else self._giver(member, marks)
                sql = f"GRANT {_role(member.role)} TO {_role(member.member)}{option}"
                yield Statement(sql, tuple({plain, member} & members))
        for rights in grouped([f for f in facts if isinstance(f, Right) and not f.database]).values():
            listed = ", ".join(right.privilege for right in rights)
            yield Statement(f"GRANT {listed} ON {self._where(rights[0], standing)} TO {_holder(rights[0])}", (*rights,))
        owned = [fact for fact in facts if isinstance(fact, Owns)]
        for thing in sorted(owned, key=lambda fact: (fact.database, fact.kind != "SCHEMA", fact)):
            where = quote(self.backend, thing.database, *([thing.name] if thing.name else []))
            yield Statement(f"ALTER {thing.kind} {where} OWNER TO {_role(thing.owner)}", (thing,))
        for acting in sorted(fact for fact in facts if isinstance(fact, Acts)):
            yield Statement(
                f"ALTER ROLE {_role(acting.login)} IN DATABASE {quote(self.backend, standing.database)} "
                f"SET role = {_text(acting.role)}",
                (acting,),
            )
        for future in sorted(fact for fact in facts if isinstance(fact, FutureRight)):
            yield Statement(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {_role(future.owner)} "
                f"GRANT {future.privilege} ON {future.kind} TO {_to(future.holder)}",
                (future,),
            )
        for rights in grouped([f for f in facts if isinstance(f, Right) and f.database]).values():
            yield Statement(
                f"GRANT {_listed(rights)} ON {self._where(rights[0], standing)} TO {_holder(rights[0])}", (*rights,)
            )

    def _giver(self, member: Member, marks: Mapping[str, Mark]) -> str:
        """Have a role that an account gets given by the role of admins, so that every admin can take it back.

        Since 16 only whoever gave it can do that, and otherwise that would be the administrator of the server.
        """
        own = marks.get(member.role)
        if own is None or own.role == "admin" or postgresql_version(self.connection) < 16:
            return ""
        if member.member in marks and marks[member.member].role:
            return ""  # a role of ours, which stays
        admins = (name for name, mark in marks.items() if mark == replace(own, role="admin"))
        return next((f" GRANTED BY {_role(name)}" for name in admins), "")

    def revokes(self, facts: Collection[Fact], standing: Standing) -> Iterator[Statement]:
        for rights in grouped([fact for fact in facts if isinstance(fact, Right)]).values():
            whole = {(r.privilege, r.column) for r in rights}
            for passing in (False, True):
                # Taking back a right takes back the option to pass it on, too.
                some = [
                    r
                    for r in rights
                    if r.privilege.startswith(_PASSING) is passing
                    and not (passing and (r.privilege.removeprefix(_PASSING), r.column) in whole)
                ]
                if some:
                    plain = [_without_option(right) for right in some]
                    listed = (_PASSING if passing else "") + _listed(plain)
                    where, holder = self._where(some[0], standing), _holder(some[0])
                    yield Statement(f"REVOKE {listed} ON {where} FROM {holder} CASCADE", tuple(some), revokes=True)
                    if kept := _columns_of(some, standing, facts):
                        sql = f"GRANT {_listed(kept)} ON {where} TO {holder}"
                        yield Statement(sql, tuple(some), revokes=True)
        for future in sorted(fact for fact in facts if isinstance(fact, FutureRight)):
            yield Statement(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {_role(future.owner)} "
                + (f"IN SCHEMA {quote(self.backend, future.database)} " if future.database else "")
                + f"REVOKE {future.privilege} ON {future.kind} FROM {_to(future.holder)}",
                (future,),
                revokes=True,
            )
        for acting in sorted(fact for fact in facts if isinstance(fact, Acts)):
            database = quote(self.backend, standing.database)
            sql = f"ALTER ROLE {_role(acting.login)} IN DATABASE {database} RESET role"
            yield Statement(sql, (acting,), revokes=True)
        members = {fact for fact in facts if isinstance(fact, Member)}
        for member in sorted(members):
            if member.admin and Member(member.role, member.member) in members:
                continue
            option = "ADMIN OPTION FOR " if member.admin else ""
            sql = f"REVOKE {option}{_role(member.role)} FROM {_role(member.member)}"
            by = standing.grantors.get(member, ())
            if postgresql_version(self.connection) >= 16 and by:
                for grantor in by:
                    yield Statement(f"{sql} GRANTED BY {_role(grantor)} CASCADE", (member,), revokes=True)
            else:
                yield Statement(sql, (member,), revokes=True)
        for maker in sorted(fact for fact in facts if isinstance(fact, MakesRoles)):
            yield Statement(f"ALTER ROLE {_role(maker.login)} NOCREATEROLE", (maker,), revokes=True)
        for role in sorted(fact for fact in facts if isinstance(fact, Role)):
            yield Statement(f"DROP ROLE IF EXISTS {_role(role.name)}", (role,), revokes=True)

    def _where(self, right: Right, standing: Standing) -> str:
        if right.table:
            return f"TABLE {quote(self.backend, right.database, right.table)}"
        if right.database:
            return f"SCHEMA {quote(self.backend, right.database)}"
        return f"DATABASE {quote(self.backend, standing.database)}"

    def borrow(self, roles: Collection[str]) -> list[str]:
        lacking = self._rows(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%s) AND NOT pg_has_role(oid, 'USAGE') "
            "AND pg_has_role(oid, 'MEMBER WITH ADMIN OPTION')",
            list(roles),
        )
        names = [str(name) for (name,) in lacking]
        for name in names:
            self._rows(f"GRANT {_role(name)} TO CURRENT_USER")
        return names

    def give_back(self, roles: Collection[str]) -> None:
        for name in roles:
            self._rows(f"REVOKE {_role(name)} FROM CURRENT_USER GRANTED BY CURRENT_USER")

    # --- Accounts ----------------------------------------------------------------------------------------------------

    def new_password(self, login: str, mark: Mark, keeper: str) -> str:
        password, verifier = new_password(self.connection, login)
        self._rows(f"CREATE ROLE {_role(login)} LOGIN PASSWORD {_text(verifier)}")
        if keeper and postgresql_version(self.connection) >= 16:  # before, who makes roles may change any
            self._rows(f"GRANT {_role(login)} TO {_role(keeper)} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
        self._rows(f"COMMENT ON ROLE {_role(login)} IS {_comment(mark)}")
        return password

    def hand_over(self, login: str) -> None:
        """Do nothing: whoever made the account did so in a transaction."""


def valid_until(connection: dj.Connection, days: int) -> str:
    """Give the end of the day, some days from now, as a password's validity is told; ``infinity`` for 0 days."""
    if not days:
        return "infinity"
    query = "SELECT to_char((now() AT TIME ZONE 'UTC')::date + %s + 1, 'YYYY-MM-DD')"
    return f"{rows_of(connection, query, days)[0][0]} 00:00:00+00"


def _both(right: Right, passing: bool) -> set[Right]:
    """Give a right and, where it can be passed on, the right to that."""
    option = Right(right.holder, _PASSING + right.privilege, right.database, right.table, right.column)
    return {right, option} if passing else {right}


def _columns_of(revoked: list[Right], standing: Standing, facts: Collection[Fact]) -> list[Right]:
    """Give the rights on columns that go with the same right on the whole table, and are to stay."""
    whole = {(right.holder, right.database, right.table, right.privilege) for right in revoked if not right.column}
    return sorted(
        fact
        for fact in standing.facts
        if isinstance(fact, Right)
        and fact.column
        and fact not in facts
        and (fact.holder, fact.database, fact.table, fact.privilege) in whole
    )


def _without_option(right: Right) -> Right:
    privilege = right.privilege.removeprefix(_PASSING)
    return Right(right.holder, privilege, right.database, right.table, right.column)


def _listed(rights: list[Right]) -> str:
    """Give privileges as a statement lists them, those on columns with the names of these."""
    whole, columns = list[str](), dict[str, list[str]]()
    for right in rights:
        if right.column:
            columns.setdefault(right.privilege, []).append(quote("postgresql", right.column))
        else:
            whole.append(right.privilege)
    return ", ".join([*whole, *(f"{name} ({', '.join(names)})" for name, names in columns.items())])


def _role(name: str) -> str:
    return quote("postgresql", name)


def _to(holder: str) -> str:
    return PUBLIC if holder == PUBLIC else _role(holder)


def _holder(right: Right) -> str:
    return _to(right.holder)


def _text(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _comment(mark: Mark) -> str:
    """Give the comment that a role of ours has: JSON, which also people read."""
    content = {"managed_by": mark.pipeline, "environment": mark.environment, "role": mark.role}
    return _text(json.dumps({key: value for key, value in content.items() if value}))


def _mark(comment: str | None) -> Mark | None:
    try:
        content = json.loads(comment or "")
    except ValueError:
        return None
    if not isinstance(content, dict) or not content.get("managed_by"):
        return None
    words = {key: str(content.get(key) or "") for key in ("environment", "role")}
    return Mark(str(content["managed_by"]), **words, new=bool(content.get("new")))
