"""A file's digest changes with what its migration does, and with nothing else: not with a release of the library."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datajoint_pipeline import migration as vocabulary
from datajoint_pipeline.history import migration_files
from datajoint_pipeline.history.files import Files
from datajoint_pipeline.history.migration_files import Migration

HEAD = '''"""What it is for."""

from datajoint_pipeline.migration import *

follows = "1.0.0"
requires = {}


def check(connection, databases):
    return True


def run(connection, databases):
    if check(connection, databases):
        return False
    return True


'''

#: Operations; the digest and the frame that release 0.5.4 computed for a file with them, None for operations that are
#: newer; the digest of version 2, which for a new operation is what the test below says that it is.
CASES: dict[str, tuple[str, str | None, str | None, str]] = {
    "CreateTable": (
        'CreateTable("""\nProbe(dj.Lookup):  # a "probe"\n    probe : varchar(12)\n""")',
        "209c1c00e5b8a7fe153872d343d9fea151f5469a6563105bd2626d11576624fd",
        "209c1c00e5b8a7fe153872d343d9fea151f5469a6563105bd2626d11576624fd",
        "2:7ed9e69a85458839237da0905643bab6b3cc1e8506124e40fea00fe3a2977747",
    ),
    "DropTable": (
        'DropTable("Recording")',
        "d738dfdae30d10f0b00c0930391b1b6a06e9ceb7c378ca74746f09907bd64f25",
        "d738dfdae30d10f0b00c0930391b1b6a06e9ceb7c378ca74746f09907bd64f25",
        "2:49dd1ed5984f866a879e1cbace5e09be170f511a67b0146dc3a409dda3c6572b",
    ),
    "RenameTable": (
        'RenameTable("Recording", "imaging.Scan")',
        "54730d98ddc7a50575bdac0d035e514a768617675fc7146dabc25fa5ea9f6814",
        "54730d98ddc7a50575bdac0d035e514a768617675fc7146dabc25fa5ea9f6814",
        "2:766b75bdbf92d3465533ded4982220974f79025c75d4ef5a9cc0cd17b2da761c",
    ),
    "ChangeTier": (
        'ChangeTier("Recording", "Imported")',
        "f0e6fbcc4a6669ffc64376a0ee574422563019bd99130ea5f4e2512b90e36678",
        "f0e6fbcc4a6669ffc64376a0ee574422563019bd99130ea5f4e2512b90e36678",
        "2:b90079ac1a2272e41d611f246d55d52b06d68f91a7518aec07b824a1cc1a46a4",
    ),
    "ChangeComment": (
        'ChangeComment("Recording", "it\'s \\"new\\"")',
        "49c8bc5e78e705443b462d8b7958f177c27c840ff964656deed5395302b50566",
        "49c8bc5e78e705443b462d8b7958f177c27c840ff964656deed5395302b50566",
        "2:5fb4c11ed909ddae7703dbc3cbfc0aa6d21d4546e0d98c415cb55997bb1f4d40",
    ),
    "AddAttribute": (
        'AddAttribute("Recording", "size : float32  # µm", "note", fill="0.5")',
        "3f621d095b87ee9c29709f90142abaab5c76f8db94fa5cb3cf906ea7dd91eced",
        "3f621d095b87ee9c29709f90142abaab5c76f8db94fa5cb3cf906ea7dd91eced",
        "2:3ea13220e7b1eec3889fe20a42d6035e5c6eaeb67e62cba5360a8cb3c6643b5b",
    ),
    "AddAttribute, plain": (
        'AddAttribute("Recording", "size = null : float32")',
        "cb0f2bc9e2a1a6f36f0d12903ed51b070643a0f09e64c61dad65acc2d84d690e",
        "cb0f2bc9e2a1a6f36f0d12903ed51b070643a0f09e64c61dad65acc2d84d690e",
        "2:5df86efce9a53081419e97088944c9288223ef8048a7a373545d51f70888591c",
    ),
    "AddAttribute, a word": (
        'AddAttribute("Recording", "size : float32", fill=PARENT)',
        "d2fea2245e926cc5a800e5a8a38cd76cb3ef0bb0bf1087f24ef0b9d41aae8d9c",
        "d2fea2245e926cc5a800e5a8a38cd76cb3ef0bb0bf1087f24ef0b9d41aae8d9c",
        "2:94d9da14f0a1824f622c9bc0b110c4d3443d2b111bc5cec33ddda7bb3f7a3691",
    ),
    "AddAttribute, from": (
        'AddAttribute("Recording", "session : uuid", fill=From("Session", "session_uuid"))',
        "4da5e11049b4c368c86a27a4340711a46b3fb10240c93ab6484e178c1626c3d3",
        "4da5e11049b4c368c86a27a4340711a46b3fb10240c93ab6484e178c1626c3d3",
        "2:e5f5bde09516c1ebc4d0f2af1c175f6b446dfdb31efae656dc8e405925d6939f",
    ),
    "DropAttribute": (
        'DropAttribute("Recording", "note")',
        "0564886c3e1110c4307ed3861c44d3c76df9cc9c0f2b6fb4c6311db807c53d8d",
        "0564886c3e1110c4307ed3861c44d3c76df9cc9c0f2b6fb4c6311db807c53d8d",
        "2:318941892493ec8829288d2cc2adaed5c303c617fcc25fc5c029b8f513eb31f4",
    ),
    "RenameAttribute": (
        'RenameAttribute("Recording", "note", "remark")',
        "0ed13efdd956bdc9b88284208f0ee5fdbc109c8590752c6385b2e0b35a5a9f73",
        "0ed13efdd956bdc9b88284208f0ee5fdbc109c8590752c6385b2e0b35a5a9f73",
        "2:3b1d86b7372a75979f4fd7a5bf30119d992c36835bd64360e95d39ddb59577a9",
    ),
    "AlterAttribute": (
        'AlterAttribute("Recording", "weight : float64", fill=ASK, using=Sql(mysql="weight / 1000", postgresql="weight / 1000"))',
        "cd99e576ad65e9e225d1303c5c495cb811f36f142384a4b3ce36c24cc804a61f",
        "cd99e576ad65e9e225d1303c5c495cb811f36f142384a4b3ce36c24cc804a61f",
        "2:e204ec433bc7b9992aec7047b446f116307e297fd6e1e2459f422e8ff9834b7f",
    ),
    "AlterAttribute, plain": (
        'AlterAttribute("Recording", "weight : float64")',
        "6c8aa583c83236278a021dd70ccbf0a146fa91ca79932e3c716535c05eac9a83",
        "6c8aa583c83236278a021dd70ccbf0a146fa91ca79932e3c716535c05eac9a83",
        "2:198f6d261c04d70bb90a32218da9044aa35ef70352c3720365e6eabc08be7f6d",
    ),
    "OrderAttributes": (
        'OrderAttributes("Recording", ["b", "a"])',
        "8252ee53489e127ff85bb4e526df1dd3848ee8e5cfa75a643232e64156e64f83",
        "8252ee53489e127ff85bb4e526df1dd3848ee8e5cfa75a643232e64156e64f83",
        "2:e85a0dee1658416053b049ec7a8369863e0cd899d1cb3b706501322911d24345",
    ),
    "OrderAttributes, a tuple": (
        'OrderAttributes("Recording", ("b",))',
        "cec059823521ab796f8876e569e2d52dc445385e278ea148266269f35c1b2669",
        "cec059823521ab796f8876e569e2d52dc445385e278ea148266269f35c1b2669",
        "2:5a25e5ae175afe4894ebf50e3398935100da0fc52af333975bd88196dd1a7719",
    ),
    "ChangePrimaryKey": (
        'ChangePrimaryKey("Recording", ["session_id", "recording_id"])',
        "3d2bd1d29364c0ed2e81a2884c64836f7188154ccc7c55d09f84ce2178887c79",
        "3d2bd1d29364c0ed2e81a2884c64836f7188154ccc7c55d09f84ce2178887c79",
        "2:7c8857dec16bf3bface418a3a4c5dd908f6f311fd9b903220b0cce61b749aea2",
    ),
    "AddForeignKey": (
        'AddForeignKey("Recording", "-> session.Session (session_id)", online=True)',
        "b05cd44d167a9598c8fea269f509336d8fa4cadb7d3a37a874593355542c83d2",
        "b05cd44d167a9598c8fea269f509336d8fa4cadb7d3a37a874593355542c83d2",
        "2:e3100cf1b29c9ce74e68f59462cf41395ee95b554f2bd0c57391f927f78250d3",
    ),
    "AddForeignKey, missing": (
        'AddForeignKey("Recording", "-> session.Session", missing={"name": "unknown", "kind": ASK})',
        "b621d1434dd6cd93ad319e89773eb9fa78ab485dbe27a46ffe8e1c49692d81d8",
        "b621d1434dd6cd93ad319e89773eb9fa78ab485dbe27a46ffe8e1c49692d81d8",
        "2:9af409679a8b9e3dc0144b674ee960182fbcc71e6b9b793e8d5c89b24975f126",
    ),
    "DropForeignKey": (
        'DropForeignKey("Recording", "-> session.Session")',
        "1c560f4e5c218d0164748283fec1e69da358d1145c8fd043d8be048335626949",
        "1c560f4e5c218d0164748283fec1e69da358d1145c8fd043d8be048335626949",
        "2:d9e4dbb3c3b3a2026a42d7ea550dc7e1419a43d6be7a72890f89e29d720d5bcc",
    ),
    "AddIndex": (
        'AddIndex("Recording", "unique index (note)")',
        "65b8006e60edb2527149ad3f8cd1e5c749aa30706700a003fe790ecdc01549ad",
        "65b8006e60edb2527149ad3f8cd1e5c749aa30706700a003fe790ecdc01549ad",
        "2:0406a39b26a0e245d145dc09244277e9d6a68b3550513c90d590a30811685501",
    ),
    "DropIndex": (
        'DropIndex("Recording", "index (note)")',
        "63d04f88321c8e5a8e78b7386bdb3b7ebc967d72be584eb69a70bb4d0c180d69",
        "63d04f88321c8e5a8e78b7386bdb3b7ebc967d72be584eb69a70bb4d0c180d69",
        "2:7ac1fd55687b682946a279e0866fec806883d820e319026df578956987e475f4",
    ),
    "InsertRows": (
        'InsertRows("Species", [{"species": "mouse", "legs": 4, "mass": 0.02, "tame": True, "note": None, "data": {"a": [1, 2]}}])',
        "490988d855f4ba4d37f15fe40e61acddf0d64b18bfb01ffeda95bf0c75db3078",
        "490988d855f4ba4d37f15fe40e61acddf0d64b18bfb01ffeda95bf0c75db3078",
        "2:e8661b1c978d2f348d4130f221710b44844654d6c805a24b40677e9ae9e45ac2",
    ),
    "RebuildTable": (
        'RebuildTable("Scan", {"depth": Sql(mysql="a + 1", postgresql="a + 2"), "area": Sql(postgresql="w * h")})',
        "319c375e81d64ab959c7556b601be51c1699002b2e9c7ecc342c3069b8bf4929",
        "319c375e81d64ab959c7556b601be51c1699002b2e9c7ecc342c3069b8bf4929",
        "2:56878d96a8493471e50bef60d869a5c2d49bcd7560c35bfd4f09e373f417410b",
    ),
    "RunSQL": (
        'RunSQL("set it", mysql="UPDATE {ephys}.recording SET a = 1", check=Sql(mysql="SELECT 1"), back=Sql("SELECT 2"))',
        "cc3f63c98f934a04ed192cad40e30a97a63fc17b1b43f01d7434331e243a79bb",
        "0e9a43161b57236f765bafb0a12f1933c06a1a28752412d8b15314c254af0d6b",
        "2:431918a786566cf5d8e9d561105d0b1f8e86307748ff162ccc1025b4af07dc27",
    ),
    "RunSQL, plain": (
        'RunSQL("set it", "SELECT 1", "SELECT 2")',
        "89151c83d8d861555848cc3f4b5080e0071864e19a5e354e7b1fd7541bb0af4f",
        "0e9a43161b57236f765bafb0a12f1933c06a1a28752412d8b15314c254af0d6b",
        "2:e88bf16f139882ac58a8bd3327fb66edf3fc71ab4b41de64aeec6d4baed647dd",
    ),
    "RunPython": (
        'RunPython("look", check, run)',
        "6d4e9a75cf4b1644bf3e370c0dab227b98099867eb7be88cf77ce9ad8e432d7a",
        "fb8f2557215956d09035a1901c7b662329fee4c212d85cbbbdc21ab6b66b6bc3",
        "2:5920c67863e05ffb31bec9d2ee0e5220144352ecb3b18f5a827ac4a98cfb1ba1",
    ),
    "RunPython, a lambda": (
        'RunPython("look", check=lambda connection, databases: True, run=run)',
        "5d4433c67e9e0452aab53e6b86bd7b313b0b6afb778e1fa4b228d797c77d4317",
        "fb8f2557215956d09035a1901c7b662329fee4c212d85cbbbdc21ab6b66b6bc3",
        "2:129f6864b2e2d15c6dc470a01b23e9f3d4a88281528e74affe8c4547e0557e37",
    ),
    "Decide": (
        'Decide("Which one?")',
        "d5889f54dc60545dfc3868aa5ce8de8e9ae1e8fae995c5c6e82cc6fd184dd4e9",
        "d5889f54dc60545dfc3868aa5ce8de8e9ae1e8fae995c5c6e82cc6fd184dd4e9",
        "2:1b94c4731d466bf933fd593dc1dfb3c7e2257637a12f98912552530816aa1c16",
    ),
    "two": (
        'DropAttribute("Recording", "note"), RunSQL("set it", "SELECT 1", "SELECT 2")',
        "0443141fbebadc14455bde7e8cfd5e29162c4285c2f5d4f2557b7fd8345e8c41",
        "16ebe39493baa9113f3b5453970d88470a5beae75bb5ce0327c7a2638fe4b002",
        "2:024223e21f6a91bb2cd3c95f815d8d84693eba10cda9e30f761a9da82e9a96f5",
    ),
}


Read = Callable[..., Migration]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write operations into a migration file and read it as the library does."""
    numbers = itertools.count()

    def read(operations: str, head: str = HEAD) -> Migration:
        folder = tmp_path / str(next(numbers))
        (folder / "ephys").mkdir(parents=True)
        (folder / "ephys" / "1.1.0_change.py").write_text(f"{head}operations = [\n    {operations},\n]\n")
        files = Files(folder, folder / "version.py", {"ephys": "1.1.0"}, "my-pipeline")
        return migration_files.read(files)["ephys"].migrations[0]

    return read


def grown(name: str) -> type:
    """An operation as a later release may have it: with one more field, and its own in another order."""
    known = getattr(vocabulary, name)
    novelty = ("novelty", Any, dataclasses.field(default=None, kw_only=True))
    generated = name != "From"  # which says by itself how it is written
    made = dataclasses.make_dataclass(name, [novelty], bases=(known,), frozen=True, repr=generated)
    made.__dataclass_fields__ = dict(reversed(made.__dataclass_fields__.items()))  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("case", [name for name, case in CASES.items() if case[1]])
def test_a_file_that_an_earlier_release_recorded_is_known(read: Read, case: str) -> None:
    operations, recorded, frame, _ = CASES[case]
    migration = read(operations)
    assert recorded and migration.has_digest(recorded)
    assert migration.has_frame(frame)


@pytest.mark.parametrize("case", CASES)
def test_what_is_recorded_now_is_known_to_later_releases(read: Read, case: str) -> None:
    operations, _, _, digest = CASES[case]
    assert read(operations).digest == digest


def test_every_operation_is_among_the_cases() -> None:
    lines = [name for name in vocabulary.__all__ if hasattr(getattr(vocabulary, name), "operation")]
    assert {name for name in lines if name not in CASES} == set()


@pytest.mark.parametrize("case", CASES)
def test_a_later_release_with_more_fields_knows_what_this_one_recorded(
    read: Read, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    operations, recorded, frame, _ = CASES[case]
    before = read(operations)
    for name in vocabulary.__all__:
        if isinstance(getattr(vocabulary, name), type):
            monkeypatch.setattr(vocabulary, name, grown(name))
    after = read(operations)
    assert after.lines and hasattr(after.lines[0], "novelty")
    assert (after.digest, after.frame) == (before.digest, before.frame)
    assert not recorded or (after.has_digest(recorded) and after.has_frame(frame))


def test_a_new_field_that_is_used_is_an_edit(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    operations, recorded, frame, _ = CASES["AddAttribute"]
    before = read(operations)
    monkeypatch.setattr(vocabulary, "AddAttribute", grown("AddAttribute"))
    after = read(operations.replace('fill="0.5"', 'fill="0.5", novelty=1'))
    assert not after.has_digest(before.digest) and not after.has_frame(before.frame)
    assert recorded and not after.has_digest(recorded) and not after.has_frame(frame)


def test_a_file_of_release_0_3_is_known_though_its_foreign_keys_had_no_missing_rows(read: Read) -> None:
    migration = read('AddForeignKey("Recording", "-> session.Session (session_id)")')
    assert migration.has_digest("5d7663b4b238c594e7fccfe21d4a9fd333478027676b4904dcf638f491b96c9b")
    assert not read(CASES["AddForeignKey, missing"][0]).has_digest(
        "5d7663b4b238c594e7fccfe21d4a9fd333478027676b4904dcf638f491b96c9b"
    )


def test_comments_layout_and_the_place_of_the_import_change_nothing(read: Read) -> None:
    here = read('DropAttribute("Recording", "note"), InsertRows("Species", [{"species": "mouse", "legs": 4}])')
    there = read(
        "DropAttribute(\n  attribute='note',  # nobody reads it\n  table='Recording'),\n"
        "    InsertRows('Species', rows=({'legs': 4, 'species': 'mouse'},))",
        '"""Another purpose."""\nfrom datajoint_pipeline.operations.lines import *\n',
    )
    assert there.digest == here.digest
    assert there.frame == here.frame


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('DropAttribute("Recording", "note")', 'DropAttribute("Recording", "notes")'),
        ('DropAttribute("Recording", "note")', 'DropIndex("Recording", "note")'),
        ('AddAttribute("A", "b : int32")', 'AddAttribute("A", "b : int32", fill="None")'),
        ('AddAttribute("A", "b : int32", fill="ASK")', 'AddAttribute("A", "b : int32", fill=ASK)'),
        ('InsertRows("A", [{"a": 1}])', 'InsertRows("A", [{"a": True}])'),
        ('InsertRows("A", [{"a": 1}])', 'InsertRows("A", [{"a": "1"}])'),
        ('OrderAttributes("A", ["a", "b"])', 'OrderAttributes("A", ["b", "a"])'),
        ('DropTable("A"), DropTable("B")', 'DropTable("B"), DropTable("A")'),
        ('RunSQL("x", "SELECT 1")', 'RunSQL("x", "SELECT 2")'),
        ('RunSQL("x", "SELECT 1")', 'RunSQL("x", postgresql="SELECT 1")'),
    ],
)
def test_a_change_of_what_is_done_changes_the_digest(read: Read, one: str, other: str) -> None:
    assert read(one).digest != read(other).digest
    assert not read(one).has_digest(read(other).digest)


def test_values_of_any_type_have_a_digest_that_is_the_same_in_every_process(read: Read) -> None:
    head = f"import datetime, decimal, uuid\n{HEAD}"
    rows = '{"a": datetime.date(2024, 1, 2), "b": decimal.Decimal("1.50"), "c": b"x", "d": {1: [object()], "2": ()}}'
    assert read(f'InsertRows("A", [{rows}])', head).digest == read(f'InsertRows("A", [{rows}])', head).digest
    assert read(f'InsertRows("A", [{rows}])', head).digest != read('InsertRows("A", [{}])', head).digest


def test_how_an_index_is_made_is_no_edit(read: Read) -> None:
    """An applied file may say later that another server makes the index while others work."""
    plain = read('AddIndex("Recording", "index (note)")')
    assert read('AddIndex("Recording", "index (note)", online=True)').digest == plain.digest


def test_the_frame_does_not_change_with_the_labs_own_statements(read: Read) -> None:
    one, other = read('DropTable("A"), RunSQL("x", "SELECT 1")'), read('DropTable("A"), RunSQL("y", "SELECT 2")')
    assert one.frame == other.frame != read('DropTable("B"), RunSQL("x", "SELECT 1")').frame
    assert one.digest != other.digest


def test_the_digest_of_a_file_with_python_changes_with_its_code(read: Read) -> None:
    operations = CASES["RunPython"][0]
    digest = read(operations).digest
    assert read(operations, HEAD.replace("return True\n\n\ndef", "return False\n\n\ndef")).digest != digest
    outside = HEAD.replace("        return False\n", "        pass\n    return False\n")
    assert read(operations, outside).digest != digest
    inside = outside.replace("    return False\n", "        return False\n")
    assert read(operations, inside).digest != read(operations, outside).digest, "indentation is code"


def test_the_digest_of_a_file_with_python_does_not_change_with_its_comments_and_layout(read: Read) -> None:
    operations = CASES["RunPython"][0]
    head = HEAD.replace("    return True\n\n\ndef", "    # It is.\n    return (\n        True\n    )\n\ndef")
    assert head != HEAD
    assert read(operations, head).digest == read(operations).digest


def test_what_has_no_file_has_no_digest() -> None:
    making = Migration("ephys", "1.0.0", None, "init")
    assert not making.has_digest("")
    assert not making.has_frame(None) and not making.has_frame("")
