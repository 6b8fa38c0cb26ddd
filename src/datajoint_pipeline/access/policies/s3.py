"""Policies of Amazon S3, and of the servers that speak its language: for a role, or for the bucket.

An identity policy is given to a role or a user; a bucket has one policy, which names for every role who is meant. Both
say the same. What each action is for, as DataJoint asks for it through s3fs:

- GetObject: fetching, and asking for an object before it is written (HEAD).
- ListBucket, for names that begin as the schema's do: what is in a folder, what is garbage.
- ListBucket without a name, for who writes: S3 says 404 of an object that is not there only to who may list the bucket,
  and 403 to others, at which s3fs gives up. The condition holds where nothing is named, too (StringLikeIfExists);
  lists of other schemas are refused, but who leaves the name out is told all names, not what is in the objects.
- GetBucketLocation: s3fs asks whether the bucket is there before it writes a folder, and not all servers take
  ListBucket for an answer to that; refused here too, it would try to make the bucket.
- PutObject, AbortMultipartUpload: writing, and taking back what was uploaded of a large object before it failed.
- DeleteObject: the collector's, and of objects of git branches theirs who drop these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import PipelineError
from .needs import Needs
from .places import Store

#: Characters without white space: what AWS takes as a managed policy, and in bytes as a bucket's.
IDENTITY_LIMIT, BUCKET_LIMIT = 6144, 20480

Document = dict[str, Any]


def identity(store: Store, needs: Needs, *, ceph: bool = False) -> list[Document]:
    """Give the policy of a role: one document, or several where AWS would not take it as one.

    Each stands by itself, and all of them are given to the role. What is particular of Ceph is said at
    :func:`statements`.
    """
    documents: list[Document] = []
    taken: list[str] = []
    for database in needs.databases:
        if taken and size(_document(statements(store, needs.only([*taken, database]), ceph=ceph))) > IDENTITY_LIMIT:
            documents.append(_document(statements(store, needs.only(taken), ceph=ceph)))
            taken = []
        taken.append(database)
    return [*documents, _document(statements(store, needs.only(taken), ceph=ceph))] if taken else documents


def bucket(
    store: Store, roles: Sequence[Needs], principals: Mapping[str, Sequence[str]], *, ceph: bool = False
) -> Document:
    """Give the one policy of a bucket, for all roles.

    Parameters
    ----------
    store : Store
        Whose bucket.
    roles : sequence of Needs
        What each role needs.
    principals : mapping
        Who has each role, as the server names them: ``arn:aws:iam::123456789012:role/lab_viewer``.

    Raises
    ------
    PipelineError
        If it is longer than servers take.
    """
    found = _document(
        [
            {
                "Sid": f"{needs.role.capitalize()}{statement.pop('Sid')}",
                "Principal": {"AWS": list(principals[needs.role])},
            }
            | statement
            for needs in roles
            for statement in statements(store, needs, ceph=ceph)
        ]
    )
    if size(found) > BUCKET_LIMIT:
        raise PipelineError(
            f"The policy of the bucket {store.bucket} is too long.",
            f"It has {size(found):,} bytes for {len(roles)} roles; a bucket takes {BUCKET_LIMIT:,}.",
            "Use the policies for roles, or give some schemas a store with a bucket of its own.",
        )
    return found


def statements(store: Store, needs: Needs, *, ceph: bool = False) -> list[Document]:
    """Give the statements of a role, without who is meant.

    s3fs deletes several objects at once. Ceph then asks whether the bucket may be deleted from before it asks the same
    of each object; so there the bucket is named too, which lets nobody delete other objects.
    """
    files = (store.files,) if needs.files and store.files else ()
    written = [section for database in needs.write for section in store.sections(database)]
    read = [*(section for database in needs.read for section in store.sections(database)), *written, *files]
    collected = [section for database in needs.collect for section in store.sections(database)]
    bucket = f"arn:aws:s3:::{store.bucket}"
    found = []
    if read:
        found.append(_allow("Read", ["s3:GetObject"], _objects(bucket, read)))
    if written:
        found.append(_allow("Write", ["s3:PutObject", "s3:AbortMultipartUpload"], _objects(bucket, written)))
    if collected:
        there = [bucket] if ceph else []
        found.append(_allow("Delete", ["s3:DeleteObject"], [*there, *_objects(bucket, collected)]))
    if listed := list(dict.fromkeys([*read, *collected])):
        prefixes = [f"{section}*" for section in listed]
        condition = {"StringLikeIfExists" if written else "StringLike": {"s3:prefix": prefixes}}
        found.append(_allow("List", ["s3:ListBucket"], [bucket]) | {"Condition": condition})
    if written:
        found.append(_allow("Locate", ["s3:GetBucketLocation"], [bucket]))
    return found


def size(document: Document) -> int:
    """Count bytes without the white space between words, as AWS does."""
    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())


def _document(statements: list[Document]) -> Document:
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(sid: str, actions: list[str], resources: list[str]) -> Document:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def _objects(bucket: str, sections: list[str]) -> list[str]:
    return [f"{bucket}/{section}*" for section in sections]
