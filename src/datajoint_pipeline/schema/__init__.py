"""Tables as frozen values in DataJoint's terms, the text they are written in, and their fingerprint."""
