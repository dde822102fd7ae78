"""A real Slurm on this machine: controller, node, accounting database, two devices that stand for GPUs.

Needs root and the packages that ``make test-slurm`` installs. The daemons run from a folder of their own. Only
``/etc/slurm`` and munge's socket are outside it, since the commands that Slurm starts in a job look nowhere else; a
configuration that is already there is somebody's cluster, and is never touched.

    python -m tests.slurm.cluster          starts it, waits for Ctrl-C, stops it
"""

import contextlib
import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")
MUNGE_SOCKET = Path("/run/munge/munge.socket.2")
FILES = ("slurm.conf", "gres.conf", "slurmdbd.conf")
MARK = "# made by tests/slurm/cluster.py"
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sacct", "sbatch")
CPUS, GPUS, MEMORY_MB = 4, 2, 16000
ACCOUNTING_PORT = 16819

SLURM_CONF = """{mark}
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
KillWait=2
JobRequeue=0
MinJobAge=600
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} Default=NO MaxTime=INFINITE State=UP
"""
SLURMDBD_CONF = """{mark}
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser=root
AuthType=auth/munge
LogFile={root}/slurmdbd.log
PidFile={root}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct
"""


@dataclass(frozen=True)
class Cluster:
    """A running cluster: the folder of its logs, and questions to its accounting."""

    root: Path

    def sacct(self, *fields: str) -> list[dict[str, str]]:
        """Return the accounting rows of all jobs, without their steps, oldest first."""
        command = ["sacct", "-a", "-X", "-n", "-P", "-S", "now-1days", "--units=M", f"--format={','.join(fields)}"]
        rows = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return [dict(zip(fields, row.split("|"), strict=True)) for row in rows]

    def queue(self) -> list[str]:
        """Return the identifiers of jobs that wait or run."""
        return subprocess.run(["squeue", "-h", "-o", "%i"], check=True, capture_output=True, text=True).stdout.split()


def obstacle() -> str | None:
    """Say why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"not installed: {', '.join(missing)}; `make test-slurm` installs them"
    for name in FILES:
        path = CONFIGURATION / name
        if path.exists() and not path.read_text().startswith(MARK):
            return f"{path} belongs to another cluster"
    if _answers(ACCOUNTING_PORT):
        return f"port {ACCOUNTING_PORT} is taken; does another cluster of these tests run?"
    return None


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster, yield it when its node is idle, and stop its daemons, jobs and files."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, contextlib.ExitStack() as stack:
        root = Path(folder)
        root.chmod(0o755)
        _configure(root, stack)
        _start_munge(root, stack)
        _start_accounting(root, stack)
        subprocess.run(["sacctmgr", "-i", "add", "cluster", "test"], check=True, capture_output=True)
        _daemon(stack, root, ["slurmctld", "-D", "-c"])
        _daemon(stack, root, ["slurmd", "-D", "-N", socket.gethostname().split(".")[0]])
        stack.callback(_cancel_all)
        _wait(_idle, "the node is not idle", root)
        yield Cluster(root)


def _configure(root: Path, stack: contextlib.ExitStack) -> None:
    for name in ("state", "spool", "database"):
        (root / name).mkdir()
    devices = [root / f"gpu{number}" for number in range(GPUS)]
    for device in devices:
        subprocess.run(["mknod", str(device), "c", "1", "3"], check=True)
    values = {
        "mark": MARK,
        "host": socket.gethostname().split(".")[0],
        "root": root,
        "cpus": CPUS,
        "gpus": GPUS,
        "memory": MEMORY_MB,
        "accounting_port": ACCOUNTING_PORT,
    }
    texts = {
        "slurm.conf": SLURM_CONF.format(**values),
        "gres.conf": "\n".join([MARK, *(f"Name=gpu File={device}" for device in devices)]) + "\n",
        "slurmdbd.conf": SLURMDBD_CONF.format(**values),
    }
    CONFIGURATION.mkdir(exist_ok=True)
    for name, text in texts.items():
        path = CONFIGURATION / name
        path.touch(mode=0o600)
        path.write_text(text)
        path.chmod(0o600 if name == "slurmdbd.conf" else 0o644)
        stack.callback(path.unlink, missing_ok=True)


def _start_munge(root: Path, stack: contextlib.ExitStack) -> None:
    """Start the package's munged, with its own key and at its own place, unless it runs already."""
    if subprocess.run(["munge", "-n"], check=False, capture_output=True).returncode == 0:
        return
    user = pwd.getpwnam("munge")
    MUNGE_SOCKET.parent.mkdir(exist_ok=True)
    os.chown(MUNGE_SOCKET.parent, user.pw_uid, user.pw_gid)
    MUNGE_SOCKET.unlink(missing_ok=True)
    _daemon(stack, root, ["runuser", "-u", "munge", "--", "munged", "--foreground"])
    _wait(MUNGE_SOCKET.exists, "munged has no socket", root)


def _start_accounting(root: Path, stack: contextlib.ExitStack) -> None:
    data, database = root / "database", root / "database.socket"
    options = ["--no-defaults", f"--datadir={data}", "--user=root"]
    install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(install, check=True, capture_output=True)
    quick = ["--innodb-flush-log-at-trx-commit=0", "--skip-networking", "--innodb-buffer-pool-size=64M"]
    _daemon(stack, root, ["mariadbd", *options, f"--socket={database}", f"--pid-file={root}/database.pid", *quick])
    _wait(database.exists, "the database has no socket", root)
    _daemon(stack, root, ["slurmdbd", "-D"], MYSQL_UNIX_PORT=str(database))
    _wait(lambda: _answers(ACCOUNTING_PORT), "slurmdbd does not listen", root)


def _daemon(stack: contextlib.ExitStack, root: Path, command: list[str], **environment: str) -> None:
    output = stack.enter_context((root / f"{Path(command[0]).name}.out").open("ab"))
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=os.environ | environment
    )
    stack.callback(_stop, process)


def _stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cancel_all() -> None:
    subprocess.run(["scancel", "--user=root"], check=False, capture_output=True)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        jobs = subprocess.run(["squeue", "-h"], check=False, capture_output=True, text=True)
        if not jobs.stdout.strip():
            return
        time.sleep(0.5)


def _idle() -> bool:
    found = subprocess.run(["sinfo", "-h", "-o", "%T"], check=False, capture_output=True, text=True)
    return set(found.stdout.split()) == {"idle"}


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _wait(ready, complaint: str, root: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            logs = "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in root.glob("*.[lo][ou][gt]"))
            raise RuntimeError(f"{complaint} after {seconds:.0f} s\n{logs}")
        time.sleep(0.2)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running_cluster() as cluster, contextlib.suppress(KeyboardInterrupt):
        logging.warning("Slurm runs; its logs are in %s. Ctrl-C stops it.", cluster.root)
        signal.pause()
