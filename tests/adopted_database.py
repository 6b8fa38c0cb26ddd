"""A database that DataJoint 0.14.10 made and filled once, with an object store, and the code that adopts it.

``adopted_database.json`` has its statements and rows, the files of its store, and every value as 0.14.10 fetched it.
Make it anew, where ``uv`` and a MySQL server are to be had (see ``DJ_HOST`` in CONTRIBUTING.md)::

    uv run benchmarks/adoption.py --write tests/adopted_database.json
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Project, Server

DUMP = Path(__file__).with_name("adopted_database.json")

#: The names on the server; that of the first module has latin1, as servers of that time had by default.
DATABASES = {"colony": "lab_colony", "rig": "lab_rig"}

#: What a value is, so that both versions say the same of the same value.
PLAIN = '''
import datetime, decimal, hashlib, json, pathlib, uuid


def plain(value):
    """Give a value as JSON: arrays with their type and shape, files by name and what is in them."""
    if hasattr(value, "download") and hasattr(value, "read"):
        return ["file", pathlib.PurePosixPath(value.path).name, hashlib.sha1(value.read()).hexdigest()]
    if isinstance(value, (str, pathlib.Path)) and len(str(value)) < 4000 and pathlib.Path(value).is_file():
        return ["file", pathlib.Path(value).name, hashlib.sha1(pathlib.Path(value).read_bytes()).hexdigest()]
    if type(value).__module__ == "numpy":
        return ["array", str(value.dtype), list(value.shape), plain(value.tolist())]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [type(value).__name__, *(plain(one) for one in value)]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, (datetime.date, datetime.timedelta, decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, bool):
        return int(value)
    return value if value is None or isinstance(value, (int, str)) else repr(value)
'''

#: What 0.14.10 runs: the code of a lab, and its rows. Its arguments are the folders of the store and of its stage.
LEGACY = '''
import os, sys
os.environ["DJ_SUPPORT_FILEPATH_MANAGEMENT"] = "TRUE"
import numpy as np
import datajoint as dj

host, port, user, password, store, stage = sys.argv[1:7]
dj.config.update({
    "database.host": host, "database.port": int(port), "database.user": user, "database.password": password,
    "database.use_tls": False, "enable_python_native_blobs": True, "safemode": False, "loglevel": "ERROR",
    "stores": {"raw": {"protocol": "file", "location": store, "stage": stage}},
})
connection = dj.conn(reset=True)
connection.query("CREATE DATABASE IF NOT EXISTS `lab_colony` CHARACTER SET latin1")
schema = dj.schema("lab_colony")


@schema
class Line(dj.Lookup):
    definition = """
    line : varchar(16)
    ---
    note="" : varchar(60)
    """
    contents = [("wild", "from Zürich"), ("cre", "")]


@schema
class Subject(dj.Manual):
    definition = """
    # Animals
    subject_id : int unsigned auto_increment  # number
    ---
    -> Line
    sex="U" : enum("F", "M", "U")
    born : date
    weight=null : float  # in g
    notes="" : varchar(200)
    entered=CURRENT_TIMESTAMP : timestamp
    price=0 : decimal(8,2)
    """


@schema
class Survey(dj.Manual):
    definition = """
    -> Subject
    moment : datetime
    tag : uuid
    ---
    tiny : tinyint unsigned
    small : smallint unsigned
    medium=3 : mediumint
    big=null : bigint
    flag=1 : tinyint(1)
    ratio=0.5 : double
    share : decimal(5,3)
    code : char(4)
    year : year
    clock : time
    extra=null : json
    label : mediumblob
    odd=null : longblob
    index(code)
    """


rig = dj.schema("lab_rig")


@rig
class Session(dj.Manual):
    definition = """
    -> Subject
    session : smallint
    ---
    protocol : longblob  # parameters
    manual=null : attach
    practice=0 : tinyint(1)
    """


@rig
class Scan(dj.Manual):
    definition = """
    -> Session
    ---
    frames : blob@raw  # one an image
    mask=null : blob@raw
    sheet=null : attach@raw
    video=null : filepath@raw
    """


@rig
class Mean(dj.Computed):
    definition = """
    -> Scan
    ---
    mean : double
    trace : blob@raw
    """

    class Part(dj.Part):
        definition = """
        -> master
        part : int
        ---
        value : float
        piece=null : longblob
        """

    def make(self, key):
        frames = (Scan & key).fetch1("frames")
        self.insert1(dict(key, mean=float(np.mean(frames)), trace=np.ravel(frames)))
        self.Part.insert(dict(key, part=n, value=n / 4, piece=None if n else [n, "x"]) for n in range(2))


def fill():
    for row in [
        dict(line="wild", sex="F", born="2019-03-01", weight=21.5, notes="Müller", price="12.50",
             entered="2019-03-02 10:11:12"),
        dict(line="cre", born="2019-03-02", entered="2020-06-30 23:59:59"),
        dict(subject_id=4000000000, line="cre", sex="M", born="1999-12-31", entered="2021-01-01 00:00:00"),
    ]:
        Subject.insert1(row)
    values = dict(moment="2019-04-01 12:30:00", tag="00112233-4455-6677-8899-aabbccddeeff", tiny=255, small=65535,
                  medium=-8388608, big=-(2**63), flag=0, ratio=0.1, share="12.345", code="abcd", year=2019,
                  clock="08:15:00", label=np.arange(5.0))
    Survey.insert1(dict(values, subject_id=1, extra={"a": [1, 2, None]}, odd={"x": np.eye(2), "y": ("a", 1)}))
    Survey.insert1(dict(values, subject_id=4000000000, tiny=0, small=0, medium=8388607, big=2**63 - 1, flag=1,
                        tag="ffffffff-0000-0000-0000-000000000000", label="a text"))
    os.makedirs(os.path.join(stage, "day"), exist_ok=True)
    for name in ("guide.txt", "sheet.csv", "day/one.avi", "day/two.avi"):
        with open(os.path.join(stage, name), "w") as file:
            file.write("What is in " + name)
    at = lambda name: os.path.join(stage, name)
    for row in [
        dict(subject_id=1, session=1, protocol={"flow": np.array([0.5, -1.5, 2.25])}, manual=at("guide.txt"), practice=1),
        dict(subject_id=1, session=2, protocol=[1, "two", None, 3.5]),
        dict(subject_id=4000000000, session=1, protocol=np.zeros(0, dtype="int16")),
    ]:
        Session.insert1(row)
    for row in [
        dict(subject_id=1, session=1, frames=np.arange(6, dtype="uint16").reshape(2, 3), mask=[True, False],
             sheet=at("sheet.csv"), video=at("day/one.avi")),
        dict(subject_id=1, session=2, frames=np.arange(6, dtype="uint16").reshape(2, 3), video=at("day/two.avi")),
        dict(subject_id=4000000000, session=1, frames=np.ones((3, 4))),
    ]:
        Scan.insert1(row)
    Mean.populate(reserve_jobs=True)


def values():
    found = {}
    for table in (Line, Subject, Survey, Session, Scan, Mean, Mean.Part):
        rows = table().fetch(as_dict=True, order_by="KEY", download_path=stage)
        found[table.__qualname__] = [{name: plain(value) for name, value in row.items()} for row in rows]
    return found
'''

#: What 0.14.10 is told to do with it.
MAKE = "fill()\nprint(json.dumps(values()))\n"
READ = "print(json.dumps(values()))\n"

COLONY = '''"""The animals."""

import datajoint as dj

from . import open_schema

schema = open_schema("colony")


@schema
class Line(dj.Lookup):
    definition = """
    line : varchar(16)
    ---
    note="" : varchar(60)
    """
    contents = [("wild", "from Zürich"), ("cre", "")]


@schema
class Subject(dj.Manual):
    definition = """
    # Animals
    subject_id : int64  # number
    ---
    -> Line
    sex="U" : enum('F', 'M', 'U')
    born : date
    weight=null : float32  # in g
    notes="" : varchar(200)
    entered=CURRENT_TIMESTAMP : timestamp
    price=0 : decimal(8,2)
    """


@schema
class Survey(dj.Manual):
    definition = """
    -> Subject
    moment : datetime
    tag : uuid
    ---
    tiny : int16
    small : int32
    medium=3 : int32
    big=null : int64
    flag=1 : bool
    ratio=0.5 : float64
    share : decimal(5,3)
    code : char(4)
    year : int16
    clock : time
    extra=null : json
    label : <blob>
    odd=null : <blob>
    index(code)
    """
'''

RIG = '''"""What is measured."""

import datajoint as dj
import numpy as np

from . import colony, open_schema

schema = open_schema("rig")


@schema
class Session(dj.Manual):
    definition = """
    -> colony.Subject
    session : int16
    ---
    protocol : <blob>  # parameters
    manual=null : <attach>
    practice=0 : bool
    """


@schema
class Scan(dj.Manual):
    definition = """
    -> Session
    ---
    frames : <blob@raw>  # one an image
    mask=null : <blob@raw>
    sheet=null : <attach@raw>
    video=null : <filepath@raw>
    """


@schema
class Mean(dj.Computed):
    definition = """
    -> Scan
    ---
    mean : float64
    trace : <blob@raw>
    """

    class Part(dj.Part):
        definition = """
        -> master
        part : int32
        ---
        value : float32
        piece=null : <blob>
        """

    def make(self, key):
        frames = (Scan & key).fetch1("frames")
        self.insert1({**key, "mean": float(np.mean(frames)), "trace": np.ravel(frames)})
'''

#: Every value as 2.3.5 fetches it.
SHOW = f"""{PLAIN}
import tempfile
import datajoint as dj
from my_pipeline import colony, rig
found = {{}}
with tempfile.TemporaryDirectory() as folder, dj.config.override(download_path=folder):
    for table in (colony.Line, colony.Subject, colony.Survey, rig.Session, rig.Scan, rig.Mean, rig.Mean.Part):
        rows = table().to_dicts(order_by="KEY")
        found[table.__qualname__] = [{{name: plain(value) for name, value in row.items()}} for row in rows]
print(json.dumps(found))
"""


def differing(found: dict[str, Any], wanted: dict[str, Any]) -> tuple[int, list[str]]:
    """Give how many values there are, and those that differ, in words."""
    count, wrong = 0, list[str]()
    for table, rows in wanted.items():
        if len(rows) != len(found[table]):
            wrong.append(f"{table} has {len(found[table])} rows, not {len(rows)}")
        for row, other in zip(rows, found[table], strict=False):
            for name, value in row.items():
                count += 1
                if value != other.get(name):
                    wrong.append(f"{table}.{name} is {other.get(name)!r}, not {value!r}")
    return count, wrong


def adapt(project: Project, store: Path) -> None:
    """Give a fresh project with the prefix ``lab_`` the lab's code and its store, as they are once a person has changed what was reported."""
    project.clear()
    project.write(project.module("colony"), COLONY)
    project.write(project.module("rig"), RIG)
    versions = '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {"colony": "1.0.0", "rig": "1.0.0"}\n'
    project.write(project.module("version"), versions)
    settings = json.loads(project.read("datajoint.json"))
    settings["stores"] = {"default": "raw", "raw": {"protocol": "file", "location": str(store)}}
    settings |= {"jobs": {"add_job_metadata": False}, "provenance": {"capture": False}}  # which 0.14 does not have
    project.write("datajoint.json", json.dumps(settings, indent=2))


def dump(server: Server, store: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Give a database as the file has it: statements, rows as SQL, the files of its store, its values."""
    statements = list[str]()
    for database in DATABASES.values():
        ((_, text),) = server.execute(f"SHOW CREATE DATABASE `{database}`")
        statements.append(text.split(" /*!80016")[0].replace("/*!40100 ", "").replace(" */", ""))
        for (table,) in server.execute(f"SHOW TABLES FROM `{database}`"):
            ((_, text),) = server.execute(f"SHOW CREATE TABLE `{database}`.`{table}`")
            statements.append(text.replace("CREATE TABLE ", f"CREATE TABLE `{database}`.", 1))
            statements += _inserts(server, database, table)
    files = {
        path.relative_to(store).as_posix(): base64.b64encode(path.read_bytes()).decode()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }
    return {"statements": statements, "files": files, "values": values}


def _inserts(server: Server, database: str, table: str) -> Iterable[str]:
    columns = server.execute(f"SHOW COLUMNS FROM `{database}`.`{table}`")
    if table == "~log":
        return
    plain = [f"`{name}`" for name, *_ in columns]
    binary = [name for name, type_, *_ in columns if "blob" in type_ or "binary" in type_]
    quoted = [
        f"IF(`{n}` IS NULL, 'NULL', CONCAT('X\\'', HEX(`{n}`), '\\''))"
        if n in binary
        else f"IF(`{n}` IS NULL, 'NULL', QUOTE(CAST(`{n}` AS CHAR CHARACTER SET utf8mb4)))"
        for n, *_ in columns
    ]
    for row in server.execute(f"SELECT {', '.join(quoted)} FROM `{database}`.`{table}`"):
        texts = [one if one is not None else "NULL" for one in row]
        yield f"INSERT INTO `{database}`.`{table}` ({', '.join(plain)}) VALUES ({', '.join(texts)})"


def load(server: Server, store: Path) -> dict[str, Any]:
    """Make the database on a server and the files in a folder; give every value as 0.14.10 fetched it."""
    known: dict[str, Any] = json.loads(DUMP.read_text(encoding="utf-8"))
    server.drop(*DATABASES.values())
    server.execute("SET NAMES utf8mb4", "SET FOREIGN_KEY_CHECKS = 0", *known["statements"])
    for name, text in known["files"].items():
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(base64.b64decode(text))
    values: dict[str, Any] = known["values"]
    return values
