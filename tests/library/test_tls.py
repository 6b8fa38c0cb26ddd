"""TLS as `database.use_tls` has it, on real servers with certificates that are right, foreign, expired or another's.

`0.0.0.0` is another machine by its address, and leads to this one: the servers listen on loopback alone.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Project, Result, Server, private_mysql
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from daemons import SYSTEM, SystemPostgres, open_folder
from living import is_sentence

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
NEAR, FAR = "127.0.0.1", "0.0.0.0"


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Authority:
    """Vouches for servers."""

    def __init__(self, title: str) -> None:
        self.name, self.key = name(title), ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(
            self.name, self.key, NOW + DAY, x509.BasicConstraints(ca=True, path_length=None)
        ).public_bytes(serialization.Encoding.PEM)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime.datetime, *more: x509.ExtensionType
    ) -> x509.Certificate:
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 3 * DAY)
            .not_valid_after(end)
        )
        for extension in (own, x509.SubjectKeyIdentifier.from_public_key(key.public_key()), *more):
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def vouch(self, *names: str, end: datetime.datetime = NOW + DAY) -> tuple[bytes, bytes]:
        """Certificate and key of a server with these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        entries: list[x509.GeneralName] = []
        for one in names:
            with contextlib.suppress(ValueError):
                entries.append(x509.IPAddress(ipaddress.ip_address(one)))
                continue
            entries.append(x509.DNSName(one))
        certificate = self._sign(name(names[0]), key, end, x509.SubjectAlternativeName(entries))
        return certificate.public_bytes(serialization.Encoding.PEM), pem(key)


LAB, STRANGER = Authority("Lab"), Authority("Stranger")


def certificate(kind: str) -> tuple[bytes, bytes, bytes]:
    """Certificate, key and authority of a server."""
    match kind:
        case "another's":
            return *LAB.vouch("db.example.org"), LAB.certificate
        case "foreign":
            return *STRANGER.vouch("localhost", NEAR, FAR), STRANGER.certificate
        case "expired":  # soon: MySQL takes none that is so already
            soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
            return *LAB.vouch("localhost", NEAR, FAR, end=soon), LAB.certificate
    return *LAB.vouch("localhost", NEAR, FAR), LAB.certificate


@dataclass
class Secured:
    """A server whose TLS changes while it runs."""

    server: Server
    put: Callable[..., None]
    on: tuple[str, ...]
    off: tuple[str, ...]
    required: tuple[str, ...]
    not_required: tuple[str, ...]

    def have(self, kind: str | None) -> None:
        """Serve a certificate; None for no TLS at all."""
        if kind is not None:
            self.put(*certificate(kind))
        self.server.execute(*(self.off if kind is None else self.on))
        time.sleep(3 if kind == "expired" else 0.3)  # PostgreSQL takes a new configuration when it comes to it

    def encrypted(self, project: Project, **variables: str) -> bool:
        """Whether a connection of the project is, by the server's own word."""
        code = "from my_pipeline import pipeline as environment; from datajoint_pipeline.project import tls\nprint(tls.in_force(environment.connect(environment.select('dev'))))"
        result = project.python("-c", code, **variables)
        assert result.code == 0, result.err
        return result.out.split()[-1] == "True"


@pytest.fixture(scope="module")
def mysql_with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if shutil.which("mysqld") is None:
        pytest.skip("there is no mysqld on PATH")
    folder = tmp_path_factory.mktemp("tls")
    files = [folder / "server.pem", folder / "server.key", folder / "ca.pem"]

    def put(*contents: bytes) -> None:
        for path, content in zip(files, contents, strict=True):
            path.write_bytes(content)

    put(*certificate("good"))
    (folder / "mysql").mkdir()
    with private_mysql(
        folder / "mysql", f"--ssl-cert={files[0]}", f"--ssl-key={files[1]}", f"--ssl-ca={files[2]}"
    ) as server:
        yield Secured(
            server,
            put,
            on=("SET GLOBAL tls_version = 'TLSv1.2,TLSv1.3'", "ALTER INSTANCE RELOAD TLS"),
            off=("SET GLOBAL tls_version = ''", "ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR"),
            required=("SET GLOBAL require_secure_transport = ON",),
            not_required=("SET GLOBAL require_secure_transport = OFF",),
        )


@pytest.fixture(scope="module")
def postgresql_with_tls() -> Iterator[Secured]:
    """A system's PostgreSQL that was built with OpenSSL; that of the wheel was not."""
    if not SYSTEM:
        pytest.skip("the wheel's PostgreSQL has no TLS, and there is no other in /usr/lib/postgresql")
    with open_folder("tls-") as folder:
        files = [folder / "server.pem", folder / "server.key", folder / "ca.pem"]
        daemon = SystemPostgres(SYSTEM[-1], folder, ssl_cert_file=files[0], ssl_key_file=files[1])

        def put(*contents: bytes) -> None:
            for path, content in zip(files, contents, strict=True):
                path.write_bytes(content)
                path.chmod(0o600)
                daemon.own(path)

        def rules(kind: str) -> None:
            text = f"{kind} all all 127.0.0.1/32 scram-sha-256\n"
            (daemon.data / "pg_hba.conf").write_text(text, encoding="utf-8")

        put(*certificate("good"))
        daemon.start()
        try:
            yield _Postgresql(
                Server("postgresql", NEAR, daemon.port, "postgres", "admin-secret"),
                put,
                on=("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"),
                off=("ALTER SYSTEM SET ssl = off", "SELECT pg_reload_conf()"),
                required=("SELECT pg_reload_conf()",),
                not_required=("SELECT pg_reload_conf()",),
                rules=rules,
            )
        finally:
            daemon.stop()


@dataclass
class _Postgresql(Secured):
    rules: Callable[[str], None] = print


@pytest.fixture(params=["mysql", "postgresql"])
def secured(request: pytest.FixtureRequest) -> Secured:
    found: Secured = request.getfixturevalue(f"{request.param}_with_tls")
    return found


@pytest.fixture
def own(secured: Secured, project: Project) -> Project:
    project.environment |= {**secured.server.variables, "MY_PIPELINE_ENV": "dev"}
    project.authorities = True
    project.write("database-ca.crt", LAB.certificate.decode())
    return project


def refused(result: Result, *said: str) -> None:
    is_sentence(result)
    assert result.code == 1
    for text in said:
        assert text in result.err, result.err


def test_true_is_a_verified_certificate_or_an_error(own: Project, secured: Secured) -> None:
    true = {"DJ_USE_TLS": "true"}
    secured.have("good")
    for host in (NEAR, FAR, "localhost"):
        assert own.run("status", DJ_HOST=host, **true).code == 3, host
        assert secured.encrypted(own, DJ_HOST=host, **true)
    assert "is verified" in own.run("doctor", **true).out
    secured.have("another's")
    refused(own.run("status", **true), "for another name than 127.0.0.1", "database.host")
    secured.have("expired")
    refused(own.run("status", **true), "expired")
    secured.have("foreign")
    refused(own.run("status", **true), "is not trusted", "database-ca.crt")
    secured.have("good")
    (own.folder / "database-ca.crt").unlink()
    refused(own.run("status", **true), "is not trusted", "database-ca.crt")
    # What the rest of the machine trusts is trusted here.
    own.write("trusted.pem", LAB.certificate.decode())
    assert own.run("status", SSL_CERT_FILE=str(own.folder / "trusted.pem"), **true).code == 3
    own.write("database-ca.crt", "nothing of the kind\n")
    refused(own.run("status", **true), "PEM")
    secured.have(None)
    own.write("database-ca.crt", LAB.certificate.decode())
    refused(own.run("status", **true), "has no TLS", "database.use_tls asks for it")


def test_nothing_said_is_never_clear_text_to_another_machine(own: Project, secured: Secured) -> None:
    for kind in ("foreign", "expired", "another's"):
        secured.have(kind)
        assert own.run("status", DJ_HOST=FAR).code == 3
        assert secured.encrypted(own, DJ_HOST=FAR)
    assert "not verified" in own.run("doctor", DJ_HOST=FAR).out
    secured.have(None)
    result = own.run("status", DJ_HOST=FAR)
    refused(result, "another machine", "has no TLS", "database.use_tls to false")
    assert secured.server.password not in result.out + result.err
    # On this machine nothing travels.
    assert own.run("status").code == 3
    assert not secured.encrypted(own)


def test_false_is_clear_text_and_doctor_warns_of_it(own: Project, secured: Secured) -> None:
    false = {"DJ_USE_TLS": "false"}
    secured.have("good")
    for host in (NEAR, FAR):
        assert not secured.encrypted(own, DJ_HOST=host, **false)
    secured.have(None)
    assert own.run("status", DJ_HOST=FAR, **false).code == 3
    report = own.run("doctor", "--json", DJ_HOST=FAR, **false)
    assert [p["id"] for p in report.json["problems"]] == ["no-tls"]
    assert own.run("doctor", "--json", **false).json["problems"] == []


def test_server_that_insists_is_told_apart(own: Project, secured: Secured) -> None:
    secured.have("good")
    if isinstance(secured, _Postgresql):
        secured.rules("hostssl")
    secured.server.execute(*secured.required)
    time.sleep(0.3)
    try:
        refused(own.run("status", DJ_USE_TLS="false"), "asks for an encrypted connection")
        assert own.run("status").code == 3
    finally:
        if isinstance(secured, _Postgresql):
            secured.rules("host")
        secured.server.execute(*secured.not_required)
        time.sleep(0.3)


def test_connection_that_is_made_anew_is_encrypted_as_before(project: Project, mysql_with_tls: Secured) -> None:
    """DataJoint reconnects by itself on MySQL, in the middle of whatever runs."""
    project.environment |= {**mysql_with_tls.server.variables, "MY_PIPELINE_ENV": "dev"}
    mysql_with_tls.have("good")
    code = (
        "import pymysql, os\nfrom my_pipeline import pipeline as environment; from datajoint_pipeline.project import tls\n"
        "c = environment.connect(environment.select('dev'))\n"
        "e = os.environ\n"
        "admin = pymysql.connect(host='127.0.0.1', port=int(e['DJ_PORT']), user=e['DJ_USER'], password=e['DJ_PASS'])\n"
        "end = lambda: admin.cursor().execute(f'KILL {c.query(chr(83) + \"ELECT CONNECTION_ID()\", reconnect=False).fetchone()[0]}')\n"
        "end()\nprint('again', tls.in_force(c))\n"
        "[admin.cursor().execute(s) for s in (\"SET GLOBAL tls_version = ''\", 'ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR')]\n"
        "end()\ntls.in_force(c)\nprint('in clear text')"
    )
    result = project.python("-c", code, DJ_HOST=FAR)
    assert "again True" in result.out and "in clear text" not in result.out, result.err
    assert result.code == 1 and "SSL" in result.err


def test_wheel_of_postgresql_has_no_tls_and_says_so(postgresql: Server, project: Project) -> None:
    project.environment |= {**postgresql.variables, "MY_PIPELINE_ENV": "dev"}
    refused(project.run("status", DJ_USE_TLS="true"), "has no TLS")
    refused(project.run("status", DJ_HOST=FAR), "another machine", "has no TLS")
    assert project.run("status", DJ_HOST=FAR, DJ_USE_TLS="false").code == 3


def test_machine_is_near_by_its_own_address_only(default_folder: Path) -> None:
    code = (
        "from datajoint_pipeline.project.tls import is_near\n"
        "near = ['localhost', 'LOCALHOST', 'localhost.', 'a.localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]', '/tmp', 'localhost:3306', '127.0.0.1:1']\n"
        "far = ['0.0.0.0', '10.0.0.7', 'db', 'db.example.org', 'localhost.example.org', 'notlocalhost', '127.0.0.1.example.org', '/tmp,db', 'localhost,10.0.0.7', 'db:3306', 'fd00::1', '']\n"
        "print([h for h in near if not is_near(h)], [h for h in far if is_near(h)])"
    )
    assert Project(default_folder).python("-c", code).out.strip() == "[] []"
