"""What may be done in an object store: for each role a policy in the words of the store's server.

Values in, texts out: nothing here connects to anything. :mod:`places` knows where DataJoint writes, :mod:`needs` what a
role needs there, and a module for each kind of server how that server is told.
"""
