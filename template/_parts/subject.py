"""Subjects: who or what is recorded."""

import datajoint as dj

from . import open_schema

schema = open_schema("subject")


@schema
class Subject(dj.Manual):
    definition = """
    # An animal or a person that takes part
    subject_id : varchar(32)  # unique in the lab
    ---
    species = "mouse" : varchar(64)  # common name
    sex = 'unknown' : enum('female', 'male', 'unknown')  # biological sex
    date_of_birth = null : date  # null where it is not known
    subject_notes = "" : varchar(1000)  # free text
    """
