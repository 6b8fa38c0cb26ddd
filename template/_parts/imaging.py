"""Imaging: scans of fluorescence."""

import datajoint as dj

from . import open_schema, session
from .utils import files

schema = open_schema("imaging")


@schema
class Scan(dj.Imported):
    definition = """
    # Fluorescence of a session, read from its file
    -> session.Session
    ---
    frame_rate : float64  # frames per second
    fluorescence : <blob{{ '@main' if store != 'none' }}>  # float64 array (frames,), mean over the field of view
    """

    def make(self, key):
        times, cells = files.read_table(files.find(key, "imaging"))
        self.insert1({**key, "frame_rate": files.sampling_rate(times), "fluorescence": cells.mean(axis=1)})
