"""Report what a repository has to change before its pipeline runs on DataJoint 2.3 and this library.

Files are read and parsed; nothing of the lab's is imported or run, and neither is DataJoint. Of the rest of the
library only ``errors`` may be imported here, so that the report runs wherever Python and click do.
"""
