"""Electrophysiology: probes, and the recordings made with them."""

import datajoint as dj
import numpy as np

from . import open_schema, session
from .utils import files

schema = open_schema("ephys")


@schema
class Probe(dj.Lookup):
    definition = """
    # A kind of probe
    probe_type : varchar(32)  # name of the kind
    ---
    channel_count : int32  # how many channels it records
    """
    contents = [
        {"probe_type": "tetrode", "channel_count": 4},
        {"probe_type": "linear-16", "channel_count": 16},
        {"probe_type": "neuropixels-1.0", "channel_count": 384},
    ]


@schema
class Recording(dj.Imported):
    definition = """
    # Firing rate of a session, read from its file
    -> session.Session
    ---
    -> Probe
    recording_rate : float64  # samples per second
    firing_rate : <blob{{ '@main' if store != 'none' }}>  # float64 array (samples,), spikes per second
    """

    class Channel(dj.Part):
        definition = """
        # Mean firing rate of one channel
        -> master
        channel : int32  # number on the probe, from 0
        ---
        mean_rate : float64  # spikes per second
        """

    def make(self, key):
        times, channels = files.read_table(files.find(key, "ephys"))
        probe = (Probe & {"channel_count": channels.shape[1]}).fetch1("probe_type")
        rate = files.sampling_rate(times)
        self.insert1({**key, "probe_type": probe, "recording_rate": rate, "firing_rate": channels.mean(axis=1)})
        self.Channel.insert(
            {**key, "channel": number, "mean_rate": float(np.mean(values))} for number, values in enumerate(channels.T)
        )
