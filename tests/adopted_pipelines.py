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

#: What runs the command of a project.
MAIN = """from datajoint_pipeline.cli import run

from . import pipeline


def main():
    run(pipeline)


if __name__ == "__main__":
    main()
"""

#: What a person changes, file by file: what stands there, and what instead.
MODERN_EDITS = {
    "src/whisking/__main__.py": [("", MAIN)],
    "src/whisking/__init__.py": [
        (
            '"""Whisking."""\n',
            '''"""Whisking."""

from datajoint_pipeline import Pipeline
from .version import SCHEMA_VERSIONS, __version__

pipeline = Pipeline(__name__, versions=SCHEMA_VERSIONS, prefix="whisk_", default_environment="dev", command="whisking")
open_schema = pipeline.open_schema
initialize = pipeline.initialize
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
            '    "datajoint-pipeline",\n    "datajoint[postgres]>=2.3.5,<2.4",\n',
        ),
        (
            "[build-system]",
            '[project.optional-dependencies]\nlocal = ["datajoint-pipeline[local]"]\n\n[project.scripts]\n'
            'whisking = "whisking.__main__:main"\n\n[tool.pytest.ini_options]\ndatajoint_pipeline = "whisking"\n\n'
            '[tool.uv.sources]\ndatajoint-pipeline = { git = "https://example.org/lab.git", tag = "v9.8.7" }\n\n'
            "[build-system]",
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
    ("odours/colony.py", 22, "type-spelling"),
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
    "src/odours/__main__.py": [("", MAIN)],
    "src/odours/__init__.py": [
        (
            LEGACY["odours/__init__.py"],
            '''"""Odours."""

from datajoint_pipeline import Pipeline
from .version import SCHEMA_VERSIONS, __version__

pipeline = Pipeline(__name__, versions=SCHEMA_VERSIONS, prefix="odour_", default_environment="dev", command="odours")
open_schema = pipeline.open_schema
initialize = pipeline.initialize
''',
        )
    ],
    "src/odours/colony.py": [
        ("from . import db_prefix", "from . import open_schema"),
        ('dj.schema(db_prefix + "colony")', 'open_schema("colony")'),
        ("subject_id : int unsigned", "subject_id : int64"),
        ('enum("F", "M", "U")', "enum('F', 'M', 'U')"),
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
