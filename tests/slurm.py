"""A Slurm cluster of this one machine, for as long as a block lasts; it needs Debian's slurmctld, slurmd, munge, and root.

Everything that it writes is in a folder, and everything that it starts listens on 127.0.0.1.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch")

_CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={processors} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE OverSubscribe=NO State=UP
"""


def missing() -> str:
    """What keeps this machine from being a cluster, in words; nothing where it can be one."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    if lacking:
        return f"no {', '.join(lacking)}; Debian has them in slurmctld, slurmd, slurm-client and munge"
    return "" if os.geteuid() == 0 else "slurmd starts jobs as root"


_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs."""

    folder: Path

    def run(self, *command: str, cwd: Path | None = None, **variables: str) -> str:
        """Run one of Slurm's commands and give what it printed."""
        environment = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(self.folder / "slurm.conf"), **variables}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}{self.logs()}"
        return done.stdout.strip()

    def wait(self, job: str, seconds: float) -> None:
        """Wait until nothing of a job is queued or runs any more."""
        deadline = time.monotonic() + seconds
        while self.run("squeue", "--noheader", "--jobs", job):
            assert time.monotonic() < deadline, self.run("squeue") + self.logs()
            time.sleep(0.5)

    def logs(self) -> str:
        return "".join(
            (self.folder / f"{name}.log").read_text(errors="replace")[-2000:] for name in ("slurmctld", "slurmd")
        )


@contextmanager
def cluster(folder: Path, processors: int = 2, memory: int = 8000) -> Iterator[Cluster]:
    """Start a cluster of one node, and stop it."""
    assert not missing(), missing()
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    values = {"host": socket.gethostname().partition(".")[0], "folder": folder, "controller": _port(), "node": _port()}
    text = _CONFIGURATION.format(**values, processors=processors, memory=memory)
    (folder / "slurm.conf").write_text(text.lstrip(), encoding="utf-8")
    key, made = folder / "munge.key", Cluster(folder)
    made.run("mungekey", "--create", "--keyfile", str(key))
    munged = ("munged", "--force", "--foreground", f"--socket={folder}/munge.socket", f"--key-file={key}")
    with ExitStack() as stack:
        _start(stack, folder, *munged, f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed")
        _until((folder / "munge.socket").exists)
        _start(stack, folder, "slurmctld", "-D", "-f", str(folder / "slurm.conf"))
        _start(stack, folder, "slurmd", "-D", "-f", str(folder / "slurm.conf"), "-N", str(values["host"]))
        _until(lambda: "idle" in _try(made, "sinfo", "--noheader", "--format=%T"))
        yield made


def _start(stack: ExitStack, folder: Path, *command: str) -> None:
    log = stack.enter_context((folder / f"{command[0]}.out").open("w"))
    variables = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=variables)

    def stop() -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)


def _try(made: Cluster, *command: str) -> str:
    try:
        return made.run(*command)
    except AssertionError:
        return ""


def _until(holds: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the cluster did not start"
        time.sleep(0.2)


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
