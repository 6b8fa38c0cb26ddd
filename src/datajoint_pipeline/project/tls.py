"""Encrypts connections: what ``database.use_tls`` says holds on either server, and nothing falls back to plain text.

DataJoint 2.3.5 leaves MySQL's TLS to the driver whatever is set, verifies no certificate, and turns to plain text where
encryption fails and nothing is set. Here ``true`` is an encrypted connection to a server whose certificate is verified,
``false`` is plain text, and where nothing is set another machine is only talked to encrypted. What is private in
DataJoint's connection is used in :mod:`internals.connection` only.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dialects.choice import dialect_called
from ..internals.connection import encrypted_connection, with_variable

if TYPE_CHECKING:
    import datajoint as dj

    from .project import Project

#: Beside ``datajoint.json``: certificates of the authorities that may vouch for the server, instead of the system's.
CA_FILE = "database-ca.crt"


def is_near(host: str) -> bool:
    """Say whether data sent to a host never leaves this machine: a Unix socket, or a loopback address.

    A name counts by itself and not by what it is resolved to, since the driver resolves it once more.
    """
    return all(_is_near(one) for one in host.split(","))


def _is_near(host: str) -> bool:
    host = host.strip().lower()
    if host.startswith(("/", "@")):
        return True
    if re.fullmatch(r"[^:]*:\d+", host):  # DataJoint takes host:port
        host = host.partition(":")[0]
    if host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def connect(config: Any, project: Project, *, limited: bool = True) -> dj.Connection:
    """Make a connection that is encrypted as the configuration asks for.

    Without ``limited``, its statements take as long as they take, whatever the account or the server has set.

    Raises
    ------
    Exception
        What DataJoint and the drivers raise; :func:`explain` knows what it means where TLS is the reason.
    """
    wanted = config["database.use_tls"]
    if wanted is None and not is_near(str(config["database.host"])):
        wanted = _ENCRYPTED
    ca = project.root / CA_FILE

    def arguments(backend: str) -> dict[str, Any]:
        if wanted is None:
            return {}
        return _mysql(wanted, ca) if backend == "mysql" else _postgresql(wanted)

    # Whatever certificate there is will do for libpq only as long as it knows no authority.
    around = partial(_authorities, ca) if wanted is True else nullcontext
    dialect = dialect_called(config["database.backend"])
    settings = dialect.exact + ("" if limited else dialect.no_limit)
    return encrypted_connection(config, wanted, arguments, around, settings)


#: What is wanted where the configuration says nothing and the server is another machine: encryption, by whatever
#: certificate the server has.
_ENCRYPTED = "encrypted"


def _mysql(wanted: object, ca: Path) -> dict[str, Any]:
    if wanted is False:
        return {"use_tls": False}
    context = ssl.create_default_context(cafile=str(ca) if ca.is_file() and wanted is True else None)
    # As PyMySQL does: authorities made before 2023 lack what Python 3.13 asks of them.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if wanted == _ENCRYPTED:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return {"use_tls": context}


def _postgresql(wanted: object) -> dict[str, Any]:
    return {"sslmode": {True: "verify-full", False: "disable"}.get(wanted, "require")}  # type: ignore[call-overload]


@contextmanager
def _authorities(ca: Path) -> Iterator[None]:
    """Have libpq, which takes it from the environment alone, trust the same authorities as Python does."""
    own, paths, file = Path.home() / ".postgresql" / "root.crt", ssl.get_default_verify_paths(), None
    if ca.is_file():
        file = str(ca)
    elif "PGSSLROOTCERT" not in os.environ and not own.is_file():
        file = paths.cafile or None
    with with_variable("PGSSLROOTCERT", file):
        yield


def in_force(connection: Any) -> bool:
    """Ask the server whether a connection is encrypted."""
    if connection.adapter.backend == "mysql":
        row = connection.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'").fetchone()
        return bool(row and row[1])
    row = connection.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", args=None).fetchone()
    return bool(row and row[0])


def explain(error: BaseException, host: str, wanted: object) -> tuple[str, str] | None:
    """Say why a connection failed over TLS, and what to do; None where TLS was not the reason."""
    text = " ".join(str(error).split())
    name = host.rpartition(":")[0] or host
    if re.search(r"hostname mismatch|IP address mismatch|does not match host name|is not valid for", text, re.I):
        why = f"The server's certificate is for another name than {name}"
        return why, f"Put the name that the certificate has into database.host, or have one made for {name}."
    if "certificate has expired" in text:
        return "The server's certificate has expired", "Have the certificate of the server renewed."
    if found := re.search(r"certificate verify failed(?:: ([^()]*))?", text):
        reason = (found[1] or "").strip().rstrip(".")
        return (
            f"The server's certificate is not trusted{f': {reason}' if reason else ', or has expired'}",
            f"Put the certificate of the authority that vouches for the server into {CA_FILE} beside datajoint.json.",
        )
    if re.search(r"root certificate file|PEM lib|NO_CERTIFICATE_OR_CRL_FOUND|no start line", text):
        return (
            f"The certificates of the authorities cannot be read: {text}",
            f"Put certificates in PEM format into {CA_FILE} beside datajoint.json.",
        )
    if re.search(r"does not support SSL|doesn't support it|SSL is required|SSL connection is required", text):
        why = "The connection has to be encrypted, and the server has no TLS"
        if wanted is True:
            return why, "Have TLS switched on at the server; database.use_tls asks for it."
        return (
            f"{name} is another machine, so {why[0].lower()}{why[1:]}",
            "Have TLS switched on at the server; or, on a network that you trust, set database.use_tls to false.",
        )
    if re.search(r"require_secure_transport|no encryption|pg_hba\.conf entry.*SSL off", text):
        return "The server asks for an encrypted connection", "Set database.use_tls to true, or leave it out."
    return None
