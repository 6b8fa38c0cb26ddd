"""Values of enums with quotes, signs and letters of all kinds: kept as they are, or refused in a sentence beforehand."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT, Project, Server
from living import is_sentence, ok, rows, states
from test_coming_back import step
from test_judging import living as living

assert living  # a fixture

#: Each with another value, as a definition has them.
ANYWHERE = [
    ("it''s", "b"),
    ("Größe", "é"),
    ("a#b", "a:b"),
    ("a)b", "c("),
    ("{life}", "a;b"),
    ("", "-- c"),
]

#: What DataJoint divides, or takes signs off, on PostgreSQL.
ON_MYSQL = [("a, b", "c"), (r"a\\b", "c"), ("50%%", "c")]


def shelf(*types: str) -> str:
    lines = [f"v{number} : {type_}" for number, type_ in enumerate(types)]
    inside = "\n    ".join(["shelf : int32", "---", *lines])
    return f'\n\n@schema\nclass Shelf(dj.Manual):\n    definition = r"""\n    {inside}\n    """\n'


def enum(*values: str) -> str:
    return f"enum({', '.join(f'{chr(39)}{value}{chr(39)}' for value in values)})"


def plain(value: str) -> str:
    return value.replace("''", "'").replace("%%", "%").replace("\\\\", "\\")


def stored(server: Server, number: int) -> list[object]:
    return [value for (value,) in server.execute(f"SELECT v{number} FROM dev_life.shelf ORDER BY v{number}")]


def test_values_are_kept_through_every_change(living: Project, server: Server) -> None:
    """Also the order in which they sort, and the way back."""
    pairs = ANYWHERE + ON_MYSQL * (server.backend == "mysql")
    text = living.read(living.module("life"))
    step(living, text + shelf(*(enum(*pair) for pair in pairs)), "shelves")
    insert = (
        "from my_pipeline import life\n"
        f"pairs = {[tuple(map(plain, pair)) for pair in pairs]!r}\n"
        "life.Shelf.insert(dict(shelf=n, **{f'v{i}': p[n] for i, p in enumerate(pairs)}) for n in (0, 1))\n"
    )
    added = living.python("-c", insert)
    assert added.code == 0, added.err
    step(living, text + shelf(*(enum(two, "more", one) for one, two in pairs)), "other orders")
    for number, (one, two) in enumerate(pairs):
        assert stored(server, number) == [plain(two), plain(one)]
    assert states(living)["life"][0] == "current"
    ok(living, "docs", "build")
    ok(living, "rollback", "life", "--to", "1.1.0")
    for number, (one, two) in enumerate(pairs):
        assert stored(server, number) == [plain(one), plain(two)]
    ok(living, "migrate")
    if server.backend == "postgresql":
        ok(living, "check")
    else:  # of which nothing can be tried on the embedded server
        assert "which only MySQL has" in " ".join(ok(living, "check").out.split())
    server.drop("dev_work", "dev_life")
    ok(living, "init")  # where DataJoint itself makes them
    assert states(living)["life"][0] == "current"
    assert "enum-order" not in living.run("doctor").out


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        (r"enum('it\'s', 'b')", "a quote is written twice"),
        ("enum(1, 2)", "The values of an enum stand in quotes"),
        ("enum('50%', 'b')", "A percent sign must be written twice (%%)"),
    ],
)
def test_what_cannot_be_read_is_refused(living: Project, type_: str, words: str) -> None:
    living.write(living.module("life"), living.read(living.module("life")) + shelf(type_))
    refused = ok(living, "revise", "-m", "shelves", code=1)
    is_sentence(refused)
    assert words in refused.err and "life.py, line " in refused.err


def test_what_a_server_takes_for_something_else_is_refused_before_the_first_step(
    living: Project, server: Server
) -> None:
    text = living.read(living.module("life"))
    cases = {"mysql": enum("A", "a"), "postgresql": enum("a, b", "c")}
    words = {"mysql": "cannot have both 'A' and 'a'", "postgresql": "cannot have the value 'a, b'"}
    wrong = [(cases[server.backend], words[server.backend]), (enum("a", "a"), "both 'a' and 'a'")]
    if server.backend == "postgresql":  # where DataJoint has the backslash and the letter, as `init` says
        wrong.append((enum(r"a\b", "c"), r"cannot have the value 'a\x08'"))
    for type_, said in wrong:
        living.write(living.module("life"), text + shelf(type_))
        ok(living, "revise", "-m", "shelves")
        for flags in (("--dry-run",), ()):
            refused = ok(living, "migrate", *flags, code=1)
            is_sentence(refused)
            assert said in refused.err
        assert states(living)["life"] == ("behind", "1.0.0")
        ok(living, "revise", "--undo")


@pytest.mark.both_servers
def test_values_get_other_names_as_the_recipe_says(living: Project) -> None:
    """And code that still writes an old one may break, so the version is a major one."""
    (line,) = re.findall(
        r"^AlterAttribute\(\n    \"Animal\",.*?^\)", (ROOT / "docs/recipes.md").read_text(), re.M | re.S
    )
    living.replace(
        living.module("life"), "colour = \"grey\" : enum('grey', 'white')", "colour = \"dark\" : enum('dark', 'light')"
    )
    ok(living, "revise", "-m", "names")
    assert states(living)["life"] == ("behind", "1.0.0")
    refused = ok(living, "migrate", code=7)
    assert "are none of dark, light" in refused.err
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("2.0.0_names.py")
    text = path.read_text().replace("import AlterAttribute", "import AlterAttribute, Sql")
    path.write_text(re.sub(r"operations = \[\n.*?\n\]", f"operations = [\n{line}\n]", text, flags=re.S))
    ok(living, "migrate")
    assert rows(living, "[r['colour'] for r in life.Animal.to_dicts(order_by='animal_id')]") == ["dark", "light"]


@pytest.mark.both_servers
@pytest.mark.parametrize(
    ("type_", "written", "works"),
    [('enum("M", "F")', "'M', 'F'", ["postgresql"]), ('enum("M", "it\'s")', "'M', 'it''s'", [])],
)
def test_values_in_double_quotes_are_refused_where_datajoint_cannot_send_them(
    living: Project, server: Server, type_: str, written: str, works: list[str]
) -> None:
    """PostgreSQL gets each value by itself, and makes the same enum of them; MySQL gets the text as it stands."""
    code, said = 1, f"Write {written} with single quotes."
    if server.backend in works:
        code, said = 0, "Everything is in order."
    text = living.read(living.module("life"))
    step(living, text + shelf(type_), "shelves")  # whose statements are not DataJoint's
    assert said in " ".join(ok(living, "check", code=code).out.split())
    server.drop("dev_work", "dev_life")
    made = ok(living, "init", code=code)
    if code:
        is_sentence(made)
        assert said in made.err and "life.py, line " in made.err
        assert states(living)["life"][1] is None
        living.write(living.module("life"), text + shelf(f"enum({written})"))
        ok(living, "init")  # it is the same enum, so there is nothing to revise
    assert states(living)["life"][0] == "current"
    value = type_.split('"')[3]
    added = living.python("-c", f"from my_pipeline import life\nlife.Shelf.insert([(0, 'M'), (1, {value!r})])")
    assert added.code == 0, added.err
    assert stored(server, 0) == ["M", value]


@pytest.mark.parametrize("value", ["a, b", "50%%"])
def test_signs_that_an_enum_cannot_have_on_postgresql_are_found_in_double_quotes_too(
    living: Project, server: Server, value: str
) -> None:
    if server.backend == "mysql":
        pytest.skip("which has them")
    living.write(living.module("life"), living.read(living.module("life")) + shelf(f'enum("{value}", "c")'))
    ok(living, "revise", "-m", "shelves")
    server.drop("dev_work", "dev_life")
    refused = ok(living, "init", code=1)
    is_sentence(refused)
    assert 'No value of an enum can have a comma, %, " or a backslash' in refused.err
