"""Bytes of a native type become `<blob>`, and a rollback gives back the bytes that were there."""

from __future__ import annotations

from conftest import Project, Server
from living import is_sentence, ok, states
from living import living as made
from test_coming_back import step
from test_judging import living as living

assert living  # a fixture

NATIVE = {"mysql": "longblob", "postgresql": "bytes"}
PACKED = "[(1, pack([1, 2])), (2, pack({'a': 'x'}, compress=False)), (3, pack(b'raw'))]"


def table(type_: str, name: str = "data") -> str:
    """Give a class."""
    lines = f"    scan : int32\n    ---\n    {name} : {type_}\n"
    return f'\n\n@schema\nclass Scan(dj.Manual):\n    definition = """\n{lines}    """\n'


def insert(living: Project, rows: str) -> None:
    program = f"from datajoint.blob import pack\nfrom my_pipeline import life\nlife.Scan.insert({rows})"
    done = living.python("-c", program)
    assert done.code == 0, done.err


def fetched(living: Project, name: str = "data") -> str:
    done = living.python("-c", f"from my_pipeline import life\nprint(life.Scan.to_arrays('{name}').tolist())")
    assert done.code == 0, done.err
    return str(done.out.strip().splitlines()[-1])


def raw(server: Server, name: str = "data") -> list[bytes]:
    return [bytes(data) for (data,) in server.execute(f"SELECT {name} FROM dev_life.scan ORDER BY scan")]


def test_what_blob_wrote_is_taken_over_and_given_back_as_it_is(living: Project, server: Server) -> None:
    """Also where the attribute has another name by now."""
    text, native = living.read(living.module("life")), NATIVE[server.backend]
    step(living, text + table(native), "scans")
    insert(living, PACKED)
    before = raw(server)
    step(living, text + table("<blob>"), "blobs")
    assert raw(server) == before and fetched(living) == "[[1, 2], {'a': 'x'}, b'raw']"
    insert(living, "[(4, {'new': 1})]")
    now = raw(server)
    result = ok(living, "rollback", "life", "--to", "1.1.0")
    assert raw(server) == now and now[:3] == before
    assert "The bytes of data in life.Scan are what they were" in " ".join(result.err.split())
    ok(living, "migrate")
    assert raw(server) == now and fetched(living) == "[[1, 2], {'a': 'x'}, b'raw', {'new': 1}]"
    step(living, text + table("<blob>", "trace"), "traces", "--rename", "Scan.data=trace")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert raw(server) == now
    ok(living, "migrate")
    assert fetched(living, "trace") == "[[1, 2], {'a': 'x'}, b'raw', {'new': 1}]"


def test_other_bytes_are_packed_and_unpacked(living: Project, server: Server) -> None:
    text, native = living.read(living.module("life")), NATIVE[server.backend]
    step(living, text + table(native), "scans")
    insert(living, "[(1, b'one'), (2, b'')]")
    before = raw(server)
    step(living, text + table("<blob>"), "blobs")
    assert fetched(living) == "[b'one', b'']" and raw(server) != before
    insert(living, "[(4, {'new': 1})]")
    was, now = states(living), raw(server)
    refused = ok(living, "rollback", "life", "--to", "1.1.0", code=7)
    is_sentence(refused)
    assert "1 value of data that" in refused.err and "RunPython" in refused.err
    assert (states(living), raw(server)) == (was, now)
    server.execute("DELETE FROM dev_life.scan WHERE scan = 4")
    insert(living, "[(4, b'new')]")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert raw(server) == [*before, b"new"]


def test_bytes_that_the_type_of_before_cannot_hold_are_counted(project: Project, mysql: Server) -> None:
    with made(mysql, project) as living:
        of_tinyblob(living, mysql)


def of_tinyblob(living: Project, mysql: Server) -> None:
    text = living.read(living.module("life"))
    step(living, text + table("tinyblob"), "scans")
    insert(living, "[(1, pack([1, 2]))]")
    step(living, text + table("<blob>"), "blobs")
    insert(living, "[(2, bytes(range(256)) * 9)]")
    was, now = states(living), raw(mysql)
    refused = ok(living, "rollback", "life", "--to", "1.1.0", code=7)
    is_sentence(refused)
    assert "1 value of data" in refused.err and (states(living), raw(mysql)) == (was, now)
    mysql.execute("DELETE FROM dev_life.scan WHERE scan = 2")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert raw(mysql) == now[:1]


def test_from_blob_to_bytes_and_back(living: Project, server: Server) -> None:
    text, native = living.read(living.module("life")), NATIVE[server.backend]
    step(living, text + table("<blob>"), "scans")
    insert(living, "[(1, [1, 2]), (2, b'two')]")
    now = raw(server)
    living.write(living.module("life"), text + table(native))
    ok(living, "revise", "-m", "bytes")
    was = states(living)
    assert "1 value of data that" in ok(living, "migrate", "--dry-run", code=7).out
    refused = ok(living, "migrate", code=7)
    is_sentence(refused)
    assert "RunPython" in refused.err and (states(living), raw(server)) == (was, now)
    server.execute("DELETE FROM dev_life.scan WHERE scan = 1")
    ok(living, "migrate")
    assert raw(server) == [b"two"]
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert raw(server) == now[1:]


def test_from_text_to_bytes_and_back(living: Project, server: Server) -> None:
    """Bytes that came since are told if they are no text, or a longer one."""
    text, native = living.read(living.module("life")), NATIVE[server.backend]
    step(living, text + table("varchar(8)"), "scans")
    insert(living, "[(1, 'a\\\\b'), (2, 'ü 猫'), (3, '')]")
    step(living, text + table(native), "bytes")
    assert raw(server) == [b"a\\b", "ü 猫".encode(), b""]
    # Twice as long; half of a letter; half of a pair of UTF-16.
    insert(living, "[(4, b'Ada and Bob'), (5, b'ab\\xe7\\x8c'), (6, b'\\xed\\xa0\\x80')]")
    refused = ok(living, "rollback", "life", "--to", "1.1.0", "--dry-run", code=7).out
    assert "2 values of data that are no text" in " ".join(refused.split()), refused
    server.execute("DELETE FROM dev_life.scan WHERE scan > 4")
    refused = ok(living, "rollback", "life", "--to", "1.1.0", code=7).err
    assert "1 value of data that is longer than 8 characters" in " ".join(refused.split()), refused
    server.execute("DELETE FROM dev_life.scan WHERE scan > 3")
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute("SELECT data FROM dev_life.scan ORDER BY scan") == [("a\\b",), ("ü 猫",), ("",)]
    ok(living, "migrate")
    assert raw(server) == [b"a\\b", "ü 猫".encode(), b""]


def test_a_file_in_a_table_becomes_its_bytes(living: Project, server: Server) -> None:
    """Which DataJoint 2.3 itself cannot read on PostgreSQL."""
    text, native = living.read(living.module("life")), NATIVE[server.backend]
    step(living, text + table("<attach>"), "scans")
    living.write("note.txt", "whole\n")
    insert(living, "[(1, 'note.txt')]")
    assert raw(server) == [b"note.txt\0whole\n"]
    step(living, text + table(native), "bytes")
    assert raw(server) == [b"whole\n"]
