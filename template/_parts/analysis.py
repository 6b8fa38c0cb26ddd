"""Analysis: what firing and fluorescence have in common."""

import datajoint as dj
import numpy as np

from . import ephys, imaging, open_schema

schema = open_schema("analysis")


@schema
class MultiModalAnalysis(dj.Computed):
    definition = """
    # How fluorescence follows firing
    -> ephys.Recording
    -> imaging.Scan
    ---
    correlation : float64  # Pearson's, at the best lag
    lag : float64  # seconds by which fluorescence follows firing
    """

    def make(self, key):
        rate, sampled = (ephys.Recording & key).fetch1("firing_rate", "recording_rate")
        light, frames = (imaging.Scan & key).fetch1("fluorescence", "frame_rate")
        # Bring the firing rate to the times of the frames, then try every lag up to two seconds.
        times = np.arange(len(light)) / frames
        rate = np.interp(times, np.arange(len(rate)) / sampled, rate)
        lags = range(int(2 * frames) + 1)
        correlations = [np.corrcoef(rate[: len(rate) - lag], light[lag:])[0, 1] for lag in lags]
        best = int(np.argmax(correlations))
        self.insert1({**key, "correlation": float(correlations[best]), "lag": best / frames})
