"""``python -m my_pipeline.manage`` of projects of releases before 0.6; :mod:`compatibility` has it found."""

import sys

from datajoint_pipeline.cli import run  # this file is found in another package

assert __spec__ is not None and __spec__.parent is not None
run(sys.modules[__spec__.parent].pipeline)
