"""Tables as plain values in DataJoint's terms, and the words they are written in."""
