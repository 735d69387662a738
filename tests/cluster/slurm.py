"""A Slurm of one node in a folder of its own: munged, slurmctld, slurmd, without systemd, cgroups or
anything of an installed configuration.

Needs root and Debian's slurm-wlm; why_not() says what is missing.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

START_S = 60
CONFIG = """ClusterName=phalanx-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES State=UP
"""


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def why_not():
    for name in ("munged", "slurmctld", "slurmd", "srun", "sbatch", "mpirun", "setpriv"):
        if program(name) is None:
            return f"{name} is not installed (Debian: slurm-wlm)"
    return "" if os.geteuid() == 0 else "slurmd wants to be root"


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Slurm:
    """Runs until close(). RuntimeError with the logs when it does not start."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="phalanx-slurm-"))
        self.daemons = []
        port, node_port = free_ports(2)
        for name, mode in (("munge", 0o700), ("state", 0o755), ("spool", 0o755)):
            (self.folder / name).mkdir(mode=mode)
        self.config = self.folder / "slurm.conf"
        host = socket.gethostname().split(".")[0]
        self.config.write_text(CONFIG.format(host=host, port=port, node_port=node_port,
                                             folder=self.folder))
        # what a job under test has nothing to do with
        self.environment = {k: v for k, v in os.environ.items()
                            if not k.startswith(("SLURM_", "OMPI_", "PMIX_", "PMI_"))}
        self.environment["SLURM_CONF"] = str(self.config)
        try:
            self.start_munge()
            self.start("slurmctld", "-D", "-f", self.config)
            self.start("slurmd", "-D", "-f", self.config, "-N", host)
            self.wait_until_idle()
        except BaseException:
            self.close()
            raise

    def start(self, name, *words):
        log = (self.folder / f"{name}.log").open("wb")
        self.daemons.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", program(name),
                                              *map(str, words)], stdout=log,
                                             stderr=log, stdin=subprocess.DEVNULL,
                                             env=self.environment))
        log.close()

    def start_munge(self):
        home = self.folder / "munge"
        key = home / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        self.start("munged", "--foreground", "--force", "--key-file", key, "--socket",
                   home / "socket", "--pid-file", home / "pid", "--log-file", home / "log",
                   "--seed-file", home / "seed")

    def wait_until_idle(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            seen = subprocess.run(["sinfo", "-h", "-o", "%T"], env=self.environment, check=False,
                                  capture_output=True).stdout
            if seen.strip() == b"idle":
                return
            time.sleep(0.1)
        logs = [f"{p.name}: {p.read_text(errors='replace')[-2000:]}"
                for p in self.folder.glob("*.log")]
        raise RuntimeError("Slurm did not start: " + "\n".join(logs))

    def run(self, *words, **more):
        return subprocess.run([str(w) for w in words], env=self.environment, check=False,
                              capture_output=True, timeout=120, **more)

    def close(self):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.folder)
