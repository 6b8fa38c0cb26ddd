"""DataJoint at work in an object store under each role's policy: what was wanted, predicted, and done.

A *cell* is an operation with a codec in a schema of a kind (the role's own, one above it, a foreign one) as an account
with a role. It is decided three times: *wanted*, from a table of what an operation is to the store (:data:`OPERATIONS`);
*predicted*, by the evaluator (``iam``) on the requests that the administrator's DataJoint makes for it; and *done*, by a
server that has the policy. Each request that is made on the way is decided twice too, by the evaluator and the server.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj
import iam
import numpy
from object_servers import BUCKET, Account, ObjectServer

from datajoint_pipeline.access.policies import places, s3
from datajoint_pipeline.access.policies.needs import Needs, needs

#: Schemas: the role's own, the one that it refers to, and one that is neither; its name begins like the first's.
KINDS = {"own": "pol_own", "upstream": "pol_up", "foreign": "pol_own2"}

SETTINGS = {"bucket": BUCKET, "location": "dj", "filepath_prefix": "raw", "subfolding": [2, 2], "secure": False}

CODECS = {
    "blob": "<blob@main>",
    "attach": "<attach@main>",
    "hash": "<hash@main>",
    "npy": "<npy@main>",
    "file": "<object@main>",
    "folder": "<object@main>",
    "filepath": "<filepath@main>",
}

_HASHED = ("blob", "attach", "hash")


@dataclass(frozen=True)
class Request:
    """A request that was made, and how it was answered."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str] = field(hash=False)
    status: int
    body: bytes = b""

    def asks(self) -> list[iam.Ask]:
        """What it asks for."""
        bucket = f"arn:aws:s3:::{self.bucket}"
        this = f"{bucket}/{self.key}"
        if not self.key:
            if self.method == "POST" and "delete" in self.query:
                keys = [part.partition(b"</Key>")[0].decode() for part in self.body.split(b"<Key>")[1:]]
                return [iam.Ask("s3:DeleteObject", f"{bucket}/{key}") for key in keys]
            if "location" in self.query:
                return [iam.Ask("s3:GetBucketLocation", bucket)]
            if self.method == "PUT":
                return [iam.Ask("s3:CreateBucket", bucket)]
            return [iam.Ask("s3:ListBucket", bucket, {k: v for k, v in self.keys().items()})]
        if self.method in ("GET", "HEAD"):
            return [iam.Ask("s3:GetObject", this)]
        if self.method == "DELETE":
            return [iam.Ask("s3:AbortMultipartUpload" if "uploadId" in self.query else "s3:DeleteObject", this)]
        return [iam.Ask("s3:PutObject", this)]

    def keys(self) -> dict[str, str]:
        """What conditions can ask of it."""
        return {"s3:prefix": self.query["prefix"]} if "prefix" in self.query else {}

    @property
    def denied(self) -> bool:
        """Whether the server refused it. Ceph says of a bucket that somebody else has that it is there already."""
        return self.status == 403 or (self.method == "PUT" and not self.key and self.status == 409)


@contextlib.contextmanager
def recorded() -> Iterator[list[Request]]:
    """The requests that s3fs makes meanwhile."""
    from aiobotocore.httpsession import AIOHTTPSession

    made: list[Request] = []
    send = AIOHTTPSession.send

    async def sending(self: Any, request: Any) -> Any:
        answer = await send(self, request)
        url = urllib.parse.urlsplit(request.url)
        bucket, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        deletes = request.method == "POST" and "delete" in query
        body = request.body if isinstance(request.body, bytes) else b""
        status = answer.status_code
        if deletes and b"<Code>AccessDenied</Code>" in await answer.content:
            status = 403
        made.append(Request(request.method, bucket, key, query, status, body if deletes else b""))
        return answer

    AIOHTTPSession.send = sending
    try:
        yield made
    finally:
        AIOHTTPSession.send = send


# --- Operations ------------------------------------------------------------------------------------------------


class World:
    """Tables with a column of each codec in three schemas, filled by the administrator."""

    def __init__(self, server: ObjectServer, instance: Any, folder: Path) -> None:
        self.server, self.instance, self.folder = server, instance, folder
        instance.config.safemode = False
        instance.config.download_path = str(folder / "downloads")
        (folder / "downloads").mkdir()
        self.numbers = itertools.count(100)
        self.be(server.admin)
        self.schemas = {kind: instance.Schema(name) for kind, name in KINDS.items()}
        for schema in self.schemas.values():
            schema(type("Subject", (dj.Manual,), {"definition": "id : int32"}))
        self.tables = {
            (kind, codec): schema(
                type(codec.capitalize(), (dj.Manual,), {"definition": f"id : int32\n---\nvalue : {CODECS[codec]}"})
            )()
            for kind, schema in self.schemas.items()
            for codec in CODECS
        }
        s3 = server.client("s3")
        s3.put_object(Bucket=BUCKET, Key="dj/raw/file.bin", Body=b"raw")
        for (_, codec), table in self.tables.items():
            table.insert1({"id": 1, "value": self.value(codec, 1)})

    def be(self, account: Account) -> None:
        """Use the store with an account's keys, knowing nothing of it from before."""
        import s3fs

        endpoint = self.server.endpoint.removeprefix("http://")
        keys = {"access_key": account.key, "secret_key": account.secret}
        self.instance.config.stores = {
            "default": "main",
            "main": {"protocol": "s3", "endpoint": endpoint, **SETTINGS, **keys},
        }
        for known in s3fs.S3FileSystem._cache.values():
            known.invalidate_cache()

    def value(self, codec: str, number: int) -> Any:
        """A value of a codec, another for each number."""
        content = f"value {number}".encode()
        if codec == "filepath":
            return "raw/file.bin"
        if codec in ("attach", "file"):
            path = self.folder / f"{number}.txt"
            path.write_bytes(content)
            return path
        if codec == "folder":
            place = self.folder / f"{number}.d"
            (place / "deep").mkdir(parents=True, exist_ok=True)
            (place / "deep" / "a.txt").write_bytes(content)
            return place
        return {"blob": {"a": number}, "hash": content, "npy": numpy.full(3, number)}[codec]

    def insert(self, kind: str, codec: str) -> bool:
        number = next(self.numbers)
        self.tables[kind, codec].insert1({"id": number, "value": self.value(codec, number)})
        return True

    def again(self, kind: str, codec: str) -> bool:
        self.tables[kind, codec].insert1({"id": next(self.numbers), "value": self.value(codec, 1)})
        return True

    def fetch(self, kind: str, codec: str) -> bool:
        value = (self.tables[kind, codec] & "id=1").fetch1("value")
        if codec == "folder":
            return bool(value.open("deep/a.txt").read() == b"value 1")
        if codec == "npy":
            return bool((value.load() == 1).all())
        if codec in ("file", "filepath"):
            return value.read() in (b"value 1", b"raw")
        return codec != "attach" or Path(value).read_bytes() == b"value 1"

    def list(self, kind: str, codec: str) -> bool:
        value = (self.tables[kind, codec] & "id=1").fetch1("value")
        return [Path(name).name for name in value.listdir("deep")] == ["a.txt"]

    def download(self, kind: str, codec: str) -> bool:
        value = (self.tables[kind, codec] & "id=1").fetch1("value")
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            value.download(place)
            return any(path.name == "a.txt" for path in Path(place).rglob("*"))

    def staged(self, kind: str, codec: str) -> bool:
        """Also whether the row knows what was written: DataJoint notes size 0 where it may not ask for it."""
        number = next(self.numbers)
        with self.tables[kind, codec].staged_insert1 as staged:
            staged.rec["id"] = number
            if codec == "file":
                with staged.open("value", ".bin") as file:
                    file.write(b"staged")
            else:
                staged.store("value", ".zarr")["deep/a"] = b"staged"
        found = (self.tables[kind, codec] & {"id": number}).fetch1("value")
        return bool(found.size == 6 and found.is_dir == (codec == "folder"))

    def discard(self, kind: str, codec: str) -> bool:
        """Begin a large object, whose parts are uploaded as they come, and take it back."""
        store = self.instance.config.get_store_spec("main")
        backend = dj.storage.StorageBackend(store)
        place = f"_schema/{KINDS[kind]}/large_{next(self.numbers)}"
        file = backend.fs.open(backend._full_path(place), "wb", block_size=5 * 2**20)
        file.write(b"x" * (11 * 2**20))
        file.discard()
        return True

    def collector(self, kind: str) -> Any:
        return dj.gc.GarbageCollector(self.schemas[kind], store="main", config=self.instance.config)

    def scan(self, kind: str, section: str) -> bool:
        found = self.collector(kind).collect(dry_run=True)
        return bool(found[f"{section}_paths_orphaned"])

    def collect(self, kind: str, section: str) -> bool:
        """Whether it is gone: where a server refuses some of several deletions, s3fs and DataJoint call them done."""
        found = self.collector(kind).collect(dry_run=False)
        return bool(found[f"{section}_paths_deleted"]) and missing(self, self.litters(kind)[section])

    def litter(self, kind: str) -> None:
        """Leave objects that no row refers to, one in each section, as the administrator."""
        s3 = self.server.client("s3")
        for key in self.litters(kind).values():
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")

    def litters(self, kind: str) -> dict[str, str]:
        """The keys of that, by section."""
        return {
            "hash": f"dj/_hash/{KINDS[kind]}/ab/cd/" + "abcd" * 6 + "ef",
            "schema": f"dj/_schema/{KINDS[kind]}/file/id=0/value_x.bin",
        }


READ, WRITE, COLLECT, FILES = "read", "write", "collect", "files"


@dataclass(frozen=True)
class Operation:
    """Something people do, and which right it takes, by codec or by section."""

    name: str
    do: Callable[[World, str, str], bool]
    takes: Mapping[str, tuple[str, ...]] = field(hash=False)


def _of(right: str, *codecs: str) -> dict[str, tuple[str, ...]]:
    return {codec: (right,) for codec in codecs}


_WRITTEN = _of(WRITE, "blob", "attach", "hash", "npy", "file", "folder")

#: Which right each operation takes with each codec; one of several is enough.
OPERATIONS = [
    Operation("insert", World.insert, _WRITTEN | _of(FILES, "filepath")),
    Operation(
        "insert again", World.again, _of(READ, *_HASHED) | _of(WRITE, "npy", "file", "folder") | _of(FILES, "filepath")
    ),
    Operation(
        "fetch", World.fetch, _of(READ, "blob", "attach", "hash", "npy", "file", "folder") | _of(FILES, "filepath")
    ),
    Operation("list", World.list, {"folder": (READ, COLLECT)}),
    Operation("download", World.download, _of(READ, "folder")),
    Operation("staged_insert1", World.staged, _of(WRITE, "file", "folder")),
    Operation("discard a large object", World.discard, _of(WRITE, "file")),
    Operation("gc dry run", World.scan, {"hash": (READ, COLLECT), "schema": (READ, COLLECT)}),
    Operation("gc collect", World.collect, {"hash": (COLLECT,), "schema": (COLLECT,)}),
]


@dataclass(frozen=True)
class Cell:
    """An operation with a codec (of garbage collection: in a section) in a schema of a kind."""

    operation: Operation
    codec: str
    kind: str

    def __str__(self) -> str:
        return f"{self.operation.name} of {self.codec} in a schema that is {self.kind}"


CELLS = [Cell(op, codec, kind) for op in OPERATIONS for codec in op.takes for kind in KINDS]


def store() -> places.Store:
    return places.store("main", {"protocol": "s3", "hash_prefix": "_hash", "schema_prefix": "_schema", **SETTINGS})


def needs_of(role: str) -> Needs:
    """A role for one schema, which refers to another."""
    return needs(role, [KINDS["own"]], [KINDS["upstream"]], files=True)


def wanted(role: str, cell: Cell) -> bool:
    """Whether a role may do this, by what it needs."""
    need, database = needs_of(role), KINDS[cell.kind]
    rights = {
        READ: database in (*need.read, *need.write),
        WRITE: database in need.write,
        COLLECT: database in need.collect,
        FILES: need.files,
    }
    return any(rights[right] for right in cell.operation.takes[cell.codec])


def attempt(world: World, cell: Cell) -> tuple[bool, list[Request], str]:
    """Do it as whoever the world is; whether it was done, what was asked for, and what was said."""
    if cell.operation.name.startswith("gc"):
        world.litter(cell.kind)
    with recorded() as made:
        try:
            return bool(cell.operation.do(world, cell.kind, cell.codec)), made, ""
        except Exception as error:
            return False, made, f"{type(error).__name__}: {error}"


def traces(world: World, cells: Sequence[Cell] = CELLS) -> dict[Cell, list[Request]]:
    """What the administrator's DataJoint asks for, for each cell."""
    found = {}
    for cell in cells:
        world.be(world.server.admin)
        done, found[cell], said = attempt(world, cell)
        assert done, f"{cell}: {said}"
    return found


def predicted(
    documents: Sequence[dict[str, Any]], trace: Sequence[Request], principal: str | None = None, *, ceph: bool
) -> bool:
    """Whether policies allow all that an operation asks for.

    s3fs takes either answer to whether the bucket is there; for moto, ListBucket gives none.
    """
    bucket = f"arn:aws:s3:::{BUCKET}"
    for request in trace:
        asks = request.asks()
        probes = request.method == "HEAD" and not request.key
        if probes and iam.allowed(documents, iam.Ask("s3:GetBucketLocation", bucket), principal):
            continue
        if probes and not ceph:
            return False
        if request.method == "HEAD" and request.status == 404:  # who may not list is told 403
            asks = [iam.Ask("s3:ListBucket", bucket)]
        if not all(iam.allowed(documents, ask, principal) for ask in asks):
            return False
    return True


def disagreements(
    world: World, documents: Sequence[dict[str, Any]], made: Sequence[Request], principal: str | None
) -> list[str]:
    """The requests that evaluator and server decided differently."""
    found = []
    for request in made:
        allowed = [iam.allowed(documents, ask, principal) for ask in request.asks()]
        if all(allowed) != request.denied:
            continue
        if request.method == "HEAD" and request.key and missing(world, request.key):
            listed = iam.allowed(documents, iam.Ask("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"), principal)
            if request.status == (404 if listed else 403):
                continue  # who may list everything is told that there is nothing, who may not that it is forbidden
        found.append(f"{request.method} {request.key or request.query} is {request.status}, predicted {allowed}")
    return found


def missing(world: World, key: str) -> bool:
    return not world.server.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=key).get("KeyCount")


@dataclass
class Outcome:
    """How many cells and requests were decided, and which were decided differently."""

    cells: int = 0
    done: int = 0
    requests: int = 0
    problems: list[str] = field(default_factory=list)


def play(
    world: World,
    account: Account,
    role: str,
    documents: Sequence[dict[str, Any]],
    traced: Mapping[Cell, list[Request]],
    principal: str | None = None,
) -> Outcome:
    """Do each cell as an account that has these policies."""
    outcome = Outcome()
    for cell, trace in traced.items():
        world.be(account)
        done, made, said = attempt(world, cell)
        decided = {
            "wanted": wanted(role, cell),
            "predicted": predicted(documents, trace, principal, ceph=world.server.ceph),
            "done": done,
        }
        outcome.cells += 1
        outcome.done += done
        outcome.requests += len(made)
        if len(set(decided.values())) > 1:
            asked = [f"{r.method} {r.key or dict(r.query)} {r.status}" for r in made]
            outcome.problems.append(f"{role}: {cell}: {decided} {said} {asked}")
        if world.server.ceph:
            outcome.problems += [f"{role}: {cell}: {text}" for text in disagreements(world, documents, made, principal)]
    return outcome


def without(documents: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Each way to take one action out of a statement: the statement, the action, and what is left."""
    for number, document in enumerate(documents):
        for place, statement in enumerate(document["Statement"]):
            for action in statement["Action"]:
                rest = {**statement, "Action": [other for other in statement["Action"] if other != action]}
                kept = [
                    *document["Statement"][:place],
                    *([rest] if rest["Action"] else []),
                    *document["Statement"][place + 1 :],
                ]
                changed = [*documents[:number], {**document, "Statement": kept}, *documents[number + 1 :]]
                yield statement["Sid"], action, [document for document in changed if document["Statement"]]


@contextlib.contextmanager
def world(server: ObjectServer, database: Any) -> Iterator[World]:
    """The tables on a database server, for a while."""
    database.drop(*KINDS.values())
    place = Path(tempfile.mkdtemp(prefix="policies-"))
    instance = dj.Instance(database.host, database.user, database.password, database.port, backend=database.backend)
    try:
        yield World(server, instance, place)
    finally:
        instance.connection.close()
        database.drop(*KINDS.values())
        shutil.rmtree(place)


def identity(role: str, server: ObjectServer) -> list[dict[str, Any]]:
    """The policies of a role for a server."""
    return s3.identity(store(), needs_of(role), ceph=server.ceph)


def bucket(accounts: Mapping[str, Account], server: ObjectServer) -> dict[str, Any]:
    """The policy of the bucket, for an account of each role."""
    principals = {role: [account.principal] for role, account in accounts.items()}
    return s3.bucket(store(), [needs_of(role) for role in accounts], principals, ceph=server.ceph)


# --- Policies that lack an action --------------------------------------------------------------------------------


@dataclass
class Broken:
    """Operations that a policy no longer allows, and those that the evaluator says so of and that are done all the same.

    DataJoint does without some answers, and on Ceph an object is its uploader's, who may read it whatever a policy says.
    """

    names: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


def broken_by(
    world: World,
    account: Account,
    role: str,
    documents: Sequence[dict[str, Any]],
    traced: Mapping[Cell, list[Request]],
) -> Broken:
    """Give a policy that lacks something, and try one cell of each operation that the evaluator says it breaks."""
    found = Broken()
    world.server.give(account, documents)
    for operation in OPERATIONS:
        flipped = [
            cell
            for cell, trace in traced.items()
            if cell.operation is operation
            and wanted(role, cell)
            and not predicted(documents, trace, ceph=world.server.ceph)
        ]
        if flipped:
            world.be(account)
            done, _, _ = attempt(world, flipped[0])
            (found.done if done else found.names).append(f"{operation.name} of {flipped[0].codec}")
    return found


def needs_conditions(cell: Cell) -> bool:
    """Whether a cell is decided by whose names a list asks for."""
    return cell.operation.name in ("list", "gc dry run") or (cell.operation.name, cell.codec) == ("insert", "filepath")
