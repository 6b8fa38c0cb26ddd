"""Report what a repository has to change before its pipeline runs on DataJoint 2.3 and this library.

Files are read and parsed; nothing of the lab's is imported or run. What DataJoint takes is asked of its own compiler,
without a database. Of the rest of the library only ``errors`` and ``internals`` may be imported here, so that the
report runs wherever the library's dependencies are, in a repository that has nothing of ours.
"""
