"""Which servers of object stores can keep a role to the names of some schemas, and how they are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """A kind of server.

    Parameters
    ----------
    title : str
        Its name.
    protocol : str
        The protocol of stores on it.
    forms : tuple of str
        What is written for it: ``identity``, ``bucket``, ``gcs``, ``azure``, ``posix``.
    limits : tuple of str
        What it cannot do, or nobody has tried; a sentence each.
    ceph : bool
        Whether it asks what Ceph asks.
    """

    title: str
    protocol: str
    forms: tuple[str, ...]
    limits: tuple[str, ...] = ()
    ceph: bool = False


_NAMES = (
    "Who writes can list the names of all objects in the bucket, not their contents: without that the server does not "
    "say that an object is missing, and inserting into <blob@>, <attach@> and <hash@> fails."
)

SERVERS = {
    "s3": Server(
        "Amazon S3",
        "s3",
        ("identity", "bucket"),
        (_NAMES, "Tried on Ceph, which speaks the same language, and not at Amazon."),
    ),
    "ceph": Server(
        "Ceph Object Gateway",
        "s3",
        ("identity", "bucket"),
        (
            _NAMES,
            "Tried on Ceph 16.2: bucket policies, and policies of users (who gives them needs the cap user-policy=*).",
        ),
        ceph=True,
    ),
    "versitygw": Server(
        "VersityGW",
        "s3",
        ("bucket",),
        (
            _NAMES,
            "It has policies of buckets only; principals are names of accounts. Older versions ignore Condition "
            "without a word, so that every role lists all names. Not tried.",
        ),
    ),
    "seaweedfs": Server(
        "SeaweedFS",
        "s3",
        ("identity", "bucket"),
        (
            _NAMES,
            "Older versions turn a policy of a user into rights on the whole bucket: they keep no role to schemas. "
            "Use the bucket's policy, and try what is refused. Not tried.",
        ),
    ),
    "minio": Server(
        "MinIO",
        "s3",
        ("identity",),
        (_NAMES, "Its community edition is archived: no more corrections, no more binaries. Not tried."),
    ),
    "gcs": Server(
        "Google Cloud Storage",
        "gcs",
        ("gcs",),
        ("The bucket needs uniform bucket-level access. Conditions were evaluated with a CEL library, not at Google.",),
    ),
    "azure": Server(
        "Azure Blob Storage",
        "azure",
        ("azure",),
        (
            "Conditions do not hold for who has the account's key or a connection string with it. Give people neither: "
            "with account_name alone, a person is who said az login. Not tried.",
            "The portal lists without a prefix and is refused. Conditions were read by a parser of ours, not at Azure.",
        ),
    ),
    "file": Server(
        "A folder",
        "file",
        ("posix",),
        (
            "Who may write in a folder may delete in it: operators can remove objects.",
            "Whoever can become root, or mounts the disk elsewhere, is not held by this; NFS version 4 has lists of "
            "its own (nfs4_setfacl), which are not written here.",
            "Files in a folder that is inserted as <object@> keep the mode they had: let the group read them first.",
        ),
    ),
}

#: What is meant where nobody says which server a protocol is spoken by.
DEFAULTS = {"s3": "s3", "gcs": "gcs", "azure": "azure", "file": "file"}
