"""Sessions: when a subject was recorded."""

import datajoint as dj

from . import open_schema, subject

schema = open_schema("session")


@schema
class Session(dj.Manual):
    definition = """
    # A visit of a subject to a setup
    -> subject.Subject
    session_id : int32  # number of the subject's visit
    ---
    session_start : datetime  # local time of the setup
    experimenter = "" : varchar(64)  # who recorded
    session_notes = "" : varchar(1000)  # free text
    """
