"""What becomes of jobs where the key of their table changes, and where that is taken back: on both servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project, Server
from living import is_sentence, living, ok, put_back
from proxy import Fault, Proxy

#: Jobs that failed, that are to be ignored, and that wait; Ada's task was computed.
JOBS = """
from my_pipeline import life, work
work.Task.insert([(1, "dig", None), (2, "dig", None), (2, "run", None)])
jobs = work.Score.jobs
jobs.refresh()
for key, how in ((dict(animal_id=1, task="dig"), "error"), (dict(animal_id=2, task="dig"), "ignore")):
    assert jobs.reserve(key)
    jobs.error(key, "ValueError: no", "a traceback") if how == "error" else jobs.ignore(key)
"""

READ = """
import json
from my_pipeline import work
names = work.Score.jobs.primary_key
found = [[r["status"], {n: r[n] for n in names}, r["error_message"]] for r in work.Score.jobs.to_dicts()]
print(json.dumps(sorted(found, key=str), default=str))
"""


@pytest.fixture
def alive(server: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    with living(server, Project(render(tmp_path / "my_pipeline"))) as own:
        assert own.python("-c", JOBS).code == 0
        yield own


def jobs(project: Project) -> list[tuple[str, dict[str, object], str]]:
    """The jobs of Score: status, key and message."""
    found = project.python("-c", READ)
    assert found.code == 0, found.err
    return [tuple(one) for one in json.loads(found.out.splitlines()[-1])]


def missed(project: Project) -> dict[str, dict[str, object]]:
    """The keys of those that nobody would add again, by status."""
    return {status: key for status, key, _ in jobs(project) if status in ("error", "ignore")}


def works(project: Project) -> None:
    """A worker and `progress` go on at once, and leave what failed or is ignored as it is."""
    before = missed(project)
    table = next(t for t in ok(project, "progress", "--json").json["tables"] if t["table"] == "work.Score")
    assert (table["failed"], table["ignored"]) == (len(before.keys() & {"error"}), len(before.keys() & {"ignore"}))
    answer = project.run("worker", "--once", "--json")
    failed = {"work.Score": 1} if "error" in before else {}
    assert (answer.json["errors"], answer.json["failed"]) == (0, failed), answer.out + answer.err
    assert missed(project) == before


#: What is edited, what `revise` is told, and what the key of a job is then.
CHANGES = {
    "grown by a value": (
        (("life", "    ---\n    name", "    herd : int16\n    ---\n    name"),),
        ("--fill", "life.Animal.herd=7"),
        lambda key: {"animal_id": key["animal_id"], "herd": 7, "task": key["task"]},
    ),
    "grown by an attribute": (
        (("life", "    ---\n    name : varchar(32)  # what it is called\n", "    name : varchar(32)  # what it is called\n    ---\n"),),
        (),
        lambda key: {"animal_id": key["animal_id"], "name": {1: "Ada", 2: "Bob"}[key["animal_id"]], "task": key["task"]},
    ),
    "another type": (
        (("life", "    animal_id : int32", "    animal_id : int64"),),
        (),
        dict,
    ),
    "longer": ((("work", "    task : varchar(16)", "    task : varchar(40)"),), (), dict),
    "renamed": (
        (("life", "    animal_id : int32", "    number : int32"), ("work", 'key["task"]', 'key["task"]')),
        ("--rename", "life.Animal.animal_id=number"),
        lambda key: {"number": key["animal_id"], "task": key["task"]},
    ),
    "replaced": (
        (("life", "    animal_id : int32  # its number", "    tag : uuid"),),
        ("--fill", "life.Animal.tag=uuid()", "--drop", "life.Animal.animal_id"),
        None,
    ),
    "another table's": (
        (("work", "    -> Task\n    ---\n    score", "    -> Task\n    -> Way\n    ---\n    score"),
         ("work", "@schema\nclass Score(", '@schema\nclass Way(dj.Lookup):\n    definition = """\n    way : varchar(8)\n    """\n    contents = [("fast",), ("slow",)]\n\n\n@schema\nclass Score(')),
        ("--fill", "work.Score.way=fast"),
        lambda key: {**key, "way": "fast"},
    ),
}  # fmt: skip


@pytest.mark.sampled
@pytest.mark.parametrize("change", CHANGES)
def test_jobs_get_the_new_key_of_their_table_and_the_old_one_again(alive: Project, server: Server, change: str) -> None:
    edits, answers, expected = CHANGES[change]
    before, named = jobs(alive), missed(alive)
    assert [status for status, *_ in before] == ["error", "ignore", "pending"] and len(named) == 2
    with put_back(alive.folder / "src/my_pipeline"):
        for module, old, new in edits:
            alive.replace(alive.module(module), old, new)
        ok(alive, "revise", "-m", "next", *answers)
        shown = ok(alive, "migrate", "--dry-run", code=3).out
        assert "the jobs of work.Score" in shown and "which are lost" not in shown and "drop the jobs" not in shown, (
            shown
        )
        assert "Warning" not in ok(alive, "migrate").err
        if expected is not None:
            assert missed(alive) == {status: expected(key) for status, key in named.items()}
        else:
            tags = {n: str(t) for n, t in named_tags(alive, server).items()}
            assert missed(alive) == {s: {"tag": tags[k["animal_id"]], "task": k["task"]} for s, k in named.items()}
        assert [(status, message) for status, _, message in jobs(alive)] == [(s, m) for s, _, m in before]
        if change not in ("another table's", "replaced"):  # with the rows of which there would be no way back
            works(alive)
        to = "life" if any(module == "life" for module, *_ in edits) else "work"
        ok(alive, "rollback", to, "--to", "1.0.0", "--along")
    assert {s["state"] for s in ok(alive, "status", "--json").json["schemas"]} == {"current"}
    assert missed(alive) == named
    works(alive)


@pytest.mark.one_server("postgresql")
def test_jobs_whose_key_grows_while_what_they_refer_to_gets_another_type(alive: Project) -> None:
    named = missed(alive)
    with put_back(alive.folder / "src/my_pipeline"):
        alive.replace(alive.module("life"), "    animal_id : int32", "    animal_id : varchar(20)")
        alive.replace(alive.module("work"), "    task : varchar(16)", "    run : int8\n    task : varchar(16)")
        ok(alive, "revise", "-m", "next", "--fill", "work.Task.run=4")
        ok(alive, "migrate")
        assert missed(alive) == {s: {**key, "animal_id": str(key["animal_id"]), "run": 4} for s, key in named.items()}
        works(alive)
        ok(alive, "rollback", "life", "--to", "1.0.0", "--along")
    assert missed(alive) == named


def named_tags(project: Project, server: Server) -> dict[int, object]:
    """The tag that took the place of each number."""
    import uuid

    found = server.execute("SELECT _dropped_animal_id, tag FROM dev_life.animal")
    return {number: uuid.UUID(bytes=bytes(tag)) if isinstance(tag, bytes) else tag for number, tag in found}


def shrink(project: Project) -> None:
    """Have one score for an animal, whatever it does."""
    project.replace(project.module("work"), "    -> Task\n    ---\n    score", "    -> life.Animal\n    ---\n    score")
    project.replace(project.module("work"), 'score=len(key["task"])', "score=0")
    ok(project, "revise", "-m", "by animal", "--drop", "work.Score.task")


def test_jobs_that_no_new_key_is_of_are_counted_and_named(alive: Project) -> None:
    """Those of Bob have two tasks in common with it: the one that waits, and the one that is ignored."""
    with put_back(alive.folder / "src/my_pipeline"):
        shrink(alive)
        said = "work.Score has 1 job with the status error or ignore, which is lost, as no new key is theirs alone"
        assert said.removeprefix("work.Score has ") in " ".join(ok(alive, "migrate", "--dry-run", code=3).out.split())
        assert said in " ".join(ok(alive, "migrate").err.split())
        assert missed(alive) == {"error": {"animal_id": 1}}
        went = "work.Score has 1 job with the status error or ignore, which is lost, as nothing tells their new key"
        assert went in " ".join(ok(alive, "rollback", "work", "--to", "1.0.0").err.split())
    assert ok(alive, "status").code == 0 and missed(alive) == {}
    works(alive)


def test_jobs_of_a_table_that_comes_back_can_be_worked_on_at_once(alive: Project, server: Server) -> None:
    work = alive.module("work")
    with put_back(alive.folder / "src/my_pipeline"):
        text = alive.read(work)
        alive.write(work, text[: text.index("\n\n@schema\nclass Score")])
        ok(alive, "revise", "-m", "no score", "--drop", "work.Score")
        said = "2 jobs with the status error or ignore, which are lost with the table"
        assert said in " ".join(ok(alive, "migrate", "--dry-run", code=3).out.split())
        assert said in " ".join(ok(alive, "migrate").err.split())
        ok(alive, "rollback", "work", "--to", "1.0.0")
    tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'dev_work' AND table_name = '~~score'"
    assert server.execute(tables) == [(1,)]
    assert jobs(alive) == [] and alive.run("worker", "--once", "--json").json["done"] == 3


def test_a_kill_between_the_steps_of_jobs_is_gone_on_with(alive: Project, server: Server) -> None:
    if server.backend == "postgresql":
        pytest.skip("PostgreSQL runs them in one transaction")
    named = missed(alive)
    alive.replace(alive.module("life"), "    ---\n    name", "    herd : int16\n    ---\n    name")
    ok(alive, "revise", "-m", "herds", "--fill", "life.Animal.herd=7")
    steps = [
        step["sql"] for step in ok(alive, "migrate", "--dry-run", "--json", code=3).json["groups"][0]["statements"]
    ]
    places = [number for number, sql in enumerate(steps) if "~~score" in sql]
    assert len(places) == 5
    for number in places:
        proxy = Proxy("mysql", server.port)
        try:
            statements = [sql for sql in steps[number].split(";\n") if sql != "UNLOCK TABLES"]
            fault = Fault(statements[-1], "after", lambda: None)
            proxy.begin(fault)
            is_sentence(alive.run("migrate", DJ_PORT=str(proxy.port), DJ_USE_TLS="false"))
        finally:
            proxy.close()
        assert fault.struck.is_set()
    ok(alive, "migrate")
    assert missed(alive) == {status: {**key, "herd": 7} for status, key in named.items()}
    assert ok(alive, "status").code == 0
    works(alive)
    carried = server.execute("SHOW CREATE TABLE dev_work.`~~score`")
    server.execute("DROP TABLE dev_work.`~~score`")
    assert alive.python("-c", "from my_pipeline import work; work.Score.jobs.refresh()").code == 0
    assert server.execute("SHOW CREATE TABLE dev_work.`~~score`") == carried  # as DataJoint makes it


def test_what_a_worker_of_before_writes_meanwhile_is_kept_or_refused(alive: Project, server: Server) -> None:
    if server.backend == "postgresql":
        pytest.skip("PostgreSQL keeps others from the table in its transaction")
    alive.replace(alive.module("life"), "    ---\n    name", "    herd : int16\n    ---\n    name")
    ok(alive, "revise", "-m", "herds", "--fill", "life.Animal.herd=7")
    said: list[str] = []

    def write() -> None:
        try:
            server.execute("UPDATE dev_work.`~~score` SET status = 'success' WHERE status = 'error'")
            said.append("saved")
        except Exception as error:
            said.append(str(error))

    writer = threading.Thread(target=write)

    def watch(statement: str) -> None:
        if statement.startswith("DROP TABLE `dev_work`.`~~score`") and not writer.ident:
            writer.start()
            writer.join(2)

    proxy = Proxy("mysql", server.port)
    proxy.watch = watch
    try:
        ok(alive, "migrate", DJ_PORT=str(proxy.port), DJ_USE_TLS="false")
    finally:
        proxy.close()
    writer.join(30)
    assert said and (said == ["saved"]) == ("error" not in missed(alive)), said


def beside(project: Project, server: Server, begins: str, *statements: str) -> None:
    """Migrate, while others run statements right before one that begins with some words."""
    done: list[str] = []

    def watch(statement: str) -> None:
        if statement.startswith(begins) and not done:
            done.append(statement)
            server.execute(*statements)

    proxy = Proxy("mysql", server.port)
    proxy.watch = watch
    try:
        ok(project, "migrate", DJ_PORT=str(proxy.port), DJ_USE_TLS="false")
    finally:
        proxy.close()
    assert done, "it was to run such a statement"


@pytest.mark.parametrize("server", ["mysql"], indirect=True)  # PostgreSQL keeps others out
@pytest.mark.parametrize("change", ["grown by a value", "another type"])
def test_a_table_of_jobs_that_a_worker_of_before_makes_meanwhile_is_taken_over(
    alive: Project, server: Server, change: str
) -> None:
    ((_, made),) = server.execute("SHOW CREATE TABLE dev_work.`~~score`")
    edits, answers, expected = CHANGES[change]
    named = missed(alive)
    with put_back(alive.folder / "src/my_pipeline"):
        for module, old, new in edits:
            alive.replace(alive.module(module), old, new)
        ok(alive, "revise", "-m", "next", *answers)
        beside(
            alive,
            server,
            "CREATE TABLE `dev_work`.`~~score`",
            "USE dev_work",
            made,
            "INSERT INTO `~~score` (animal_id, task, status, priority) VALUES (2, 'run', 'error', 5), (1, 'dig', 'pending', 5)",
        )
        found = {(key["task"], key["animal_id"], status) for status, key, _ in jobs(alive)}
        assert found == {("dig", 1, "error"), ("dig", 2, "ignore"), ("run", 2, "error")}
        assert missed(alive)["ignore"] == expected(named["ignore"])
        assert ok(alive, "status").code == 0
        assert server.execute("SHOW TABLES FROM dev_work LIKE '%away'") == []
        ok(alive, "rollback", "life", "--to", "1.0.0", "--along")


def test_a_table_of_jobs_with_the_key_of_before_goes(alive: Project, server: Server) -> None:
    """As a worker of before leaves it that makes it right after a migration dropped it."""
    edits, answers, _ = CHANGES["grown by a value"]
    with put_back(alive.folder / "src/my_pipeline"):
        for module, old, new in edits:
            alive.replace(alive.module(module), old, new)
        ok(alive, "revise", "-m", "next", *answers)
        ok(alive, "migrate")
        quote = "`" if server.backend == "mysql" else '"'
        table = f"dev_work.{quote}~~score{quote}"
        server.execute(f"DELETE FROM {table} WHERE status <> 'error'", f"ALTER TABLE {table} DROP COLUMN herd")
        if server.backend == "postgresql":  # whose key went with it
            server.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (animal_id, task)")
        told = " ".join(ok(alive, "migrate").err.split())
        lost = "work.Score has lost 1 job with the status error or ignore, which an earlier worker wrote with the old"
        assert lost in told
        assert {tuple(key) for _, key, _ in jobs(alive)} == set()
        works(alive)
        assert "Warning" not in ok(alive, "migrate").err
        ok(alive, "rollback", "life", "--to", "1.0.0", "--along")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_what_a_worker_writes_in_the_new_table_of_jobs_stays(alive: Project, server: Server) -> None:
    edits, answers, _ = CHANGES["another type"]
    with put_back(alive.folder / "src/my_pipeline"):
        for module, old, new in edits:
            alive.replace(alive.module(module), old, new)
        ok(alive, "revise", "-m", "next", *answers)
        values = "(1, 'dig', 'success', 5), (2, 'dig', 'pending', 5)"
        write = f"INSERT INTO dev_work.`~~score` (animal_id, task, status, priority) VALUES {values}"
        beside(alive, server, "REPLACE INTO `dev_work`.`~~score`", write)
        found = {(key["task"], key["animal_id"], status) for status, key, _ in jobs(alive)}
        assert found == {("dig", 1, "success"), ("dig", 2, "ignore"), ("run", 2, "pending")}
        ok(alive, "rollback", "life", "--to", "1.0.0", "--along")


def test_what_of_the_jobs_an_interrupted_run_loses_is_said_where_it_is_taken_back(
    alive: Project, server: Server
) -> None:
    if server.backend == "postgresql":
        pytest.skip("PostgreSQL runs a migration as one transaction")
    with put_back(alive.folder / "src/my_pipeline"):
        alive.replace(alive.module("life"), "    ---\n    name", "    herd : int16\n    ---\n    name")
        ok(alive, "revise", "-m", "herds", "--fill", "life.Animal.herd=7")
        steps = [
            step["sql"] for step in ok(alive, "migrate", "--dry-run", "--json", code=3).json["groups"][0]["statements"]
        ]
        proxy = Proxy("mysql", server.port)
        try:
            proxy.begin(Fault(steps[-2], "after", lambda: None))
            is_sentence(alive.run("migrate", DJ_PORT=str(proxy.port), DJ_USE_TLS="false"))
        finally:
            proxy.close()
        said = ok(alive, "rollback", "--interrupted").err
        assert "2 jobs with the status error or ignore go with the jobs of work.Score" in " ".join(said.split()), said
    tables = (
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'dev_work' AND table_name LIKE '~~%'"
    )
    assert server.execute(tables) == [("~~score",)] and jobs(alive) == []


CAGE = '\n\n@schema\nclass Cage(dj.Manual):\n    definition = """\n    cage : uuid\n    """\n'
WASH = '\n\n@schema\nclass Wash(dj.Computed):\n    definition = """\n    -> life.Cage\n    """\n'
USES = (
    "import uuid\nfrom my_pipeline import life, work\nlife.Cage.insert1({'cage': uuid.uuid4()}, skip_duplicates=True)\n"
    "print(work.Wash.jobs.refresh()['added'], work.Wash.jobs.heading.attributes['cage'].original_type)"
)


@pytest.mark.parametrize("server", ["mysql"], indirect=True)  # DataJoint 2.3 inserts no uuid into PostgreSQL
def test_a_missing_table_of_jobs_is_made_with_a_uuid(alive: Project, server: Server) -> None:
    with put_back(alive.folder / "src/my_pipeline"):
        alive.write(alive.module("life"), alive.read(alive.module("life")) + CAGE)
        alive.write(alive.module("work"), alive.read(alive.module("work")) + WASH)
        ok(alive, "revise", "-m", "next")
        ok(alive, "migrate")
        assert server.execute("SHOW TABLES FROM dev_work LIKE '~~wash'")
        used = alive.python("-c", USES)
        assert used.code == 0 and used.out.split()[-2:] == ["1", "uuid"], used.out + used.err
        ok(alive, "rollback", "life", "--to", "1.0.0", "--along")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_jobs_whose_key_gets_a_uuid_can_be_worked_on(alive: Project, server: Server) -> None:
    with put_back(alive.folder / "src/my_pipeline"):
        alive.write(alive.module("life"), alive.read(alive.module("life")) + CAGE)
        alive.replace(
            alive.module("work"), "    -> Task\n    ---\n    score", "    -> Task\n    -> life.Cage\n    ---\n    score"
        )
        number = "a5a5a5a5-0000-4000-8000-00000000000a"
        ok(alive, "revise", "-m", "next", "--fill", f"work.Score.cage={number}", "--insert", "life.Cage")
        ok(alive, "migrate")
        assert [status for status, *_ in jobs(alive)] == ["error", "ignore", "pending"]
        assert {str(key["cage"]) for _, key, _ in jobs(alive)} == {number}
        used = alive.python("-c", USES.replace("work.Wash", "work.Score"))
        assert used.code == 0 and used.out.split()[-1] == "uuid" and int(used.out.split()[-2]) > 0, used.out + used.err


@pytest.mark.parametrize("change", ["another name", "another tier", "another name and key"])
def test_a_table_of_jobs_says_whose_jobs_they_are(alive: Project, server: Server, change: str) -> None:
    """As DataJoint makes it, after a rename, and after it is taken back."""
    name = "Score" if "tier" in change else "Mark"
    with put_back(alive.folder / "src/my_pipeline"):
        before = comment_of_jobs(alive, server, "Score")
        tier = "Imported" if "tier" in change else "Computed"
        alive.replace(alive.module("work"), "class Score(dj.Computed)", f"class {name}(dj.{tier})")
        if "key" in change:
            alive.replace(alive.module("life"), "    animal_id : int32", "    animal_id : int64")
        answers = () if "tier" in change else ("--rename-table", "work.Score=Mark")
        ok(alive, "revise", "-m", "next", *answers)
        ok(alive, "migrate")
        carried = comment_of_jobs(alive, server, name)
        assert carried != before
        quote = "`" if server.backend == "mysql" else '"'
        server.execute(f"DROP TABLE dev_work.{quote}~~{name.lower()}{quote}")
        made = alive.python("-c", f"from my_pipeline import work; work.{name}.jobs.refresh()")
        assert made.code == 0, made.err
        assert comment_of_jobs(alive, server, name) == carried  # as DataJoint makes it
        ok(alive, "rollback", "work", "--to", "1.0.0", "--along")
    assert comment_of_jobs(alive, server, "Score") == before


def comment_of_jobs(project: Project, server: Server, name: str) -> str:
    """The comment of a table's job table."""
    table = f"~~{name.lower()}"
    sql = f"SELECT table_comment FROM information_schema.tables WHERE table_schema = 'dev_work' AND table_name = '{table}'"
    if server.backend == "postgresql":
        sql = f"SELECT obj_description('dev_work.\"{table}\"'::regclass)"
    ((found,),) = server.execute(sql)
    return str(found)
