"""Every use of what is not public in DataJoint: declaration, codecs, lineage, job tables, connections."""
