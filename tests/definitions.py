"""Schema modules whose definitions ask much of whoever reads them: one module, one theme."""

from __future__ import annotations

HEADER = "import datajoint as dj\n\nfrom . import open_schema{imports}\n\nschema = open_schema({name!r})\n"

TYPES = '''
@schema
class CoreType(dj.Manual):
    definition = """
    # every core type
    key_a : int64  # a "quoted" note
    key_b : decimal(5,2)
    key_c : datetime(3)
    ---
    a = null : int8
    b = null : int16
    c = null : float32  # it's 100 %%
    d = null : float64
    e = null : bool
    f = null : uuid
    g = null : json
    h = null : bytes  # a path: C:\\\\data and a \\\\mu
    i = null : date
    j = null : datetime
    k = null : datetime(6)
    l = null : char(3)
    m = null : varchar(12)
    n = null : enum( 'x','y z' ,'ü')
    o = null : decimal(10,0)
    p = null : enum('a:b', 'it''s')
    """


@schema
class Codec(dj.Manual):
    definition = """
    id : int32
    ---
    a : <blob>  # inside
    b = null : <blob@main>
    c : <attach>
    d : <attach@main>
    e : <hash@main>
    f : <npy@main>
    g : <object@>
    h : <filepath@main>
    """


@schema
class Native(dj.Lookup):
    definition = """
    a : smallint
    ---
    b : int
    c : integer
    d = null : time
    e = null : timestamp
    f = null : text
    g : numeric(7,3)
    h : float
    i : real
    j : decimal(4)
    k = 1 : bigint
    l = null : time(3)
    """
'''

DEFAULTS = '''
@schema
class Default(dj.Manual):
    definition = """
    id = 7 : int32
    ---
    a = 0 : int8
    b = -1 : int16
    c = 007 : int32
    d = -9000000000 : int64
    e = 0.5 : float32
    f = -10.0 : float32
    g = 0.123456789 : float32
    h = 1234567 : float32
    i = 1e-7 : float32
    j = 1e20 : float64
    k = 0.12345678901234567 : float64
    l = 1 : bool
    m = 0 : bool
    n = 1 : decimal(5,2)
    o = -1.50 : decimal(5,2)
    p = 3 : decimal(5,0)
    q = "2000-1-2" : date
    r = "2000-01-01" : datetime
    s = "2000-01-01 10:00:00.5" : datetime(6)
    t = CURRENT_TIMESTAMP : datetime
    u = current_timestamp(3) : datetime(3)
    v = "mouse" : varchar(12)
    w = "" : varchar(12)
    x = 'it\\'\\'s' : varchar(12)
    y = "it's" : varchar(12)
    z = mouse : varchar(12)
    aa = "CURRENT_TIMESTAMP" : varchar(32)
    ab = "a:b # c" : varchar(32)
    ac = "1x1" : char(3)
    ad = "b c" : enum('a', 'b c')
    ae = "12:00:00" : time
    af = 5 : smallint
    ag = 1 : numeric(5,2)
    ah = "50%%" : varchar(12)
    ai = "(x)" : varchar(12)
    """
'''

KEYS = '''
@schema
class Animal(dj.Manual):
    definition = """
    lab : varchar(16)  # which lab
    animal : int32
    ---
    born = null : date
    """

    class Tag(dj.Part):
        definition = """
        -> master
        tag : uuid
        """

        def rename(self):
            """Nothing of a class but its definition is read."""


@schema
class Probe(dj.Lookup):
    definition = """
    probe : uuid  # a universal number
    ---
    kind : enum('a', 'b')
    """


@schema
class Session(dj.Manual):
    definition = """
    -> Animal
    session : int16
    ---
    -> [nullable] Animal.proj(mother="animal")
    -> [nullable, unique] Probe
    -> Probe.proj(other_probe="probe")
    start : datetime(3)
    index(start, session)
    unique index (session, start)  # a comment
    """


@schema
class Moment(dj.Manual):
    definition = """
    at : datetime(3)
    price : decimal(8,2)
    grade : enum('x', 'y')
    code : char(4)
    flag : bool
    """


@schema
class Child(dj.Manual):
    definition = """
    -> Moment
    ---
    -> Session
    index(lab, animal, session)
    """


@schema
class Grandchild(dj.Manual):
    definition = """
    -> Child
    number : int32
    ---
    index(at)
    """


@schema
class Own(dj.Manual):
    definition = """
    # attributes of its own beside the foreign key
    lab : varchar(32)  # wider than the parent's
    animal : int32
    ---
    probe : uuid  # noted here
    -> Animal
    -> Probe
    """


@schema
class Twice(dj.Manual):
    definition = """
    id : int32
    ---
    -> Animal
    -> Animal.proj(second="animal")
    -> [unique] Session.proj(..., third="animal")
    """
'''

TIERS = '''
@schema
class Nothing(dj.Manual):
    definition = """
    # one row at most
    ---
    value : int32
    """


@schema
class Imported(dj.Imported):
    definition = """
    -> keys.Session
    """


@schema
class Computed(dj.Computed):
    definition = """
    -> Imported
    -> keys.Probe
    ---
    result = null : <blob@main>
    """

    class ROI(dj.Part):
        definition = """
        -> master
        roi : int32
        ---
        -> keys.Animal.Tag
        """

    def make(self, key):
        raise NotImplementedError
'''

NATIVE_OF_MYSQL = '''
@schema
class Unsigned(dj.Manual):
    definition = """
    id : int unsigned
    ---
    a : longblob
    b : mediumtext
    c : int(11)
    d : double
    e : year
    f : tinyint(1)
    g = null : enum('a', 'b')
    h : decimal(6,2) unsigned
    i : bigint unsigned
    """


@schema
class Expression(dj.Manual):
    definition = """
    id : int32
    ---
    document : json
    x : int32
    name : varchar(100)
    index(document.a.b)
    index(document.a.c:char(20))
    unique index(document.a:decimal(4, 1), x)
    index(document.a[0]:signed)
    index((lower(name)))
    index((x + id*2-1), name)
    index((concat(name, 'a b')))
    index(name(10))
    index(x desc)
    index(x)
    index(x)
    """
'''


def modules() -> dict[str, str]:
    """Source of each module by its name, which is its schema's too, parents first; ``…_mysql`` is for MySQL only."""
    bodies = {
        "types": TYPES,
        "defaults": DEFAULTS,
        "keys": KEYS,
        "tiers": TIERS,
        "native_mysql": NATIVE_OF_MYSQL,
    }
    imports = {"tiers": ", keys"}
    return {name: HEADER.format(name=name, imports=imports.get(name, "")) + body for name, body in bodies.items()}
