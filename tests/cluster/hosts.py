"""Hosts on one machine: namespaces of the kernel with a name, a network card, /dev/shm and /etc/hosts
of their own, joined by a cable that can be cut. They share files, CPUs and process ids.

Needs root (or CAP_SYS_ADMIN), unshare, nsenter and ip; why_not() says what is missing.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

AGENT = pathlib.Path(__file__).resolve().parent / "rsh_agent.sh"
NAMESPACES = ("--net", "--uts", "--ipc", "--mount")
CARD = "eth0"
ADDRESSES = ("10.213.77.1", "10.213.77.2")
NAMES = ("alpha", "beta")
# "ready" tells that all is mounted: the network card comes after.
SETUP = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=64m tmpfs /dev/shm
mount --bind "$1" /etc/hosts
hostname "$2"
ip link set lo up
echo ready
exec sleep 100000
"""


def why_not():
    """Why there can be no hosts here; empty when there can."""
    for tool in ("unshare", "nsenter", "ip", "mpirun", "setsid", "setpriv"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    probe = "mount --make-rprivate / && ip link add probe0 type veth peer name probe1"
    done = subprocess.run(["unshare", *NAMESPACES, "sh", "-c", probe], capture_output=True,
                          check=False)
    return done.stderr.decode().strip() if done.returncode != 0 else ""


class Hosts:
    """Two hosts, alpha and beta. close() ends every process in them."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="phalanx-hosts-"))
        names = [f"{address} {name}" for address, name in zip(ADDRESSES, NAMES)]
        (self.folder / "etc-hosts").write_text("\n".join(["127.0.0.1 localhost", *names, ""]))
        self.holder = []
        for name in NAMES:
            holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES,
                                       "sh", "-c", SETUP, "sh", str(self.folder / "etc-hosts"),
                                       name],
                                      stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
            self.holder.append(holder)
            if holder.stdout.readline() != b"ready\n":
                self.close()
                raise RuntimeError(f"host {name} did not start")
            (self.folder / name).write_text(str(holder.pid))
        self.on(0, "ip", "link", "add", CARD, "type", "veth", "peer", "name", CARD, "netns",
                str(self.holder[1].pid))
        for host, address in enumerate(ADDRESSES):
            self.on(host, "ip", "address", "add", f"{address}/24", "dev", CARD)
            self.on(host, "ip", "link", "set", CARD, "up")

    def words(self, host, *words):
        """The command line that runs these words on a host."""
        return ["nsenter", "--target", str(self.holder[host].pid), *NAMESPACES, *words]

    def on(self, host, *words):
        return subprocess.run(self.words(host, *map(str, words)), check=True, capture_output=True)

    def environment(self):
        """For mpirun on one of them: how to reach the others."""
        return dict(os.environ, PHALANX_TEST_HOSTS=str(self.folder),
                    OMPI_MCA_plm_rsh_agent=str(AGENT))

    def hostfile(self, *slots):
        path = self.folder / "hostfile"
        path.write_text("".join(f"{n} slots={s}\n" for n, s in zip(NAMES, slots)))
        return path

    def cut(self):
        self.on(1, "ip", "link", "set", CARD, "down")

    def mend(self):
        self.on(1, "ip", "link", "set", CARD, "up")

    def processes(self, host):
        """{process id: command line} of what lives on a host, but for what keeps it there."""
        holder = self.holder[host].pid
        network = os.readlink(f"/proc/{holder}/ns/net")
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if (entry.name.isdigit() and int(entry.name) != holder
                        and os.readlink(entry / "ns" / "net") == network):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(
                        b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has ended meanwhile, or is a zombie
        return {pid: line for pid, line in found.items() if line}

    def wait_until_empty(self, seconds):
        """What lives on both when the time is over."""
        end = time.monotonic() + seconds
        while True:
            left = {**self.processes(0), **self.processes(1)}
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.05)

    def close(self):
        for host, holder in enumerate(self.holder):
            if holder.poll() is None:
                for pid in self.processes(host):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            holder.kill()
            holder.wait()
            holder.stdout.close()
        shutil.rmtree(self.folder)
