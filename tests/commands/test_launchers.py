"""Inside a job that the user started: mpirun -n N phalanx ..., and a srun that cannot do it."""
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from common import BUILD, DEMO, HAS_MPI, PHALANX, SANITIZED, SLOWLY, phalanx, least_of

LONG = ("-p", "Once upon a time", "--max-tokens", "1900", "--ignore-eos")
SHORT = ("-p", "Once upon a time", "--max-tokens", "24", "--temperature", "0")
BOUND_S = 10 if SANITIZED else 1
# As a user in a container on a small machine must set it.
SETTINGS = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "OMPI_MCA_hwloc_base_binding_policy": "none"}
LAUNCHED = ("OMPI_", "PMIX_", "PMI_", "SLURM_")


def clean_environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHED)}
    return {**kept, **more}


def mpirun(n, *words):
    return ["mpirun", "-n", str(n), str(PHALANX), *map(str, words)]


def run(n, *words, stdin=b""):
    return subprocess.run(mpirun(n, *words), input=stdin, capture_output=True, timeout=300,
                          check=False, env=clean_environment(**SETTINGS))


class Place:
    """Where a process of the job stands: program, parent, and rank as mpirun has told it."""

    def __init__(self, pid):
        entry = pathlib.Path(f"/proc/{pid}")
        exe = pathlib.Path(os.readlink(entry / "exe"))
        if exe.parent != BUILD.resolve():
            raise OSError
        state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
        if state in "ZX":
            raise OSError
        self.pid, self.name, self.parent = pid, exe.name, int(parent)
        environment = dict(v.split(b"=", 1) for v in (entry / "environ").read_bytes().split(b"\0")
                           if b"=" in v)
        self.rank = environment.get(b"OMPI_COMM_WORLD_RANK")


def places():
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                found.append(Place(int(entry.name)))
        except OSError:
            continue
    return found


@unittest.skipUnless(HAS_MPI, "no mpirun (install openmpi-bin)")
class Mpirun(unittest.TestCase):
    def test_the_answer_is_that_of_one_process(self):
        want = phalanx("generate", DEMO, *SHORT).out
        for n, sizes in ((1, ()), (2, ()), (3, ("-tp", "3")), (2, ("-pp", "2")),
                         (4, ("-tp", "2", "-pp", "2"))):
            with self.subTest(n=n, sizes=sizes):
                result = run(n, "generate", DEMO, *SHORT, *sizes)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stdout.decode(), want)

    def test_standard_input_is_the_users(self):
        want = phalanx("generate", DEMO, "-p", "-", *SHORT[2:], stdin=b"The little bear").out
        result = run(2, "generate", DEMO, "-p", "-", *SHORT[2:], stdin=b"The little bear")
        self.assertEqual(result.stdout.decode(), want)

    def test_other_commands_that_have_ranks_work_so_too(self):
        words = {"demo": (), "score": (DEMO, "-p", "Once upon a time"),
                 "bench latency": (DEMO, "--output-len", "4", "--num-iters", "1",
                                   "--num-iters-warmup", "0"),
                 "chat": (DEMO, "-q", "Hello", "--temperature", "0")}
        for command, more in words.items():
            with self.subTest(command):
                result = run(2, *command.split(), *more)
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_what_cannot_be_is_one_line_within_a_second(self):
        with tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts:
            hosts.write("localhost slots=2\n")
            hosts.flush()
            cases = {
                "-tp 4 and -pp 1 want 4 ranks, and 2 were started": (DEMO, *SHORT, "-tp", "4"),
                "2 ranks were started, which cannot be shared": (DEMO, *SHORT, "-pp", "3"),
                "-dp starts a job of its own": (DEMO, *SHORT, "-dp", "2"),
                "unknown option --nonsense": (DEMO, *SHORT, "--nonsense"),
                "no such folder": ("/nowhere", *SHORT),
                "--hostfile is for ranks that phalanx starts": (DEMO, *SHORT, "--hostfile",
                                                                hosts.name),
            }
            for says, words in cases.items():
                with self.subTest(says):
                    self.check_refused(says, 2, "generate", *words)

    def test_what_is_only_printed_is_printed_once(self):
        for words in (("--help",), ("--version",), ("generate", "--help"), ("bench", "--help"),
                      ("nonsense",), ("bench",), ()):
            with self.subTest(words):
                want = phalanx(*words)
                result = run(3, *words)
                self.assertEqual(result.stdout.decode(), want.out)
                self.assertEqual(result.returncode, want.code)
                self.assertEqual(result.stderr.decode().split("-" * 20)[0], want.err)

    def test_a_command_without_ranks_runs_alone(self):
        self.check_refused("tokenize has no ranks", 2, "tokenize", DEMO)
        result = run(1, "tokenize", DEMO, stdin=b'"Once"\n')
        self.assertEqual(result.returncode, 0, result.stderr)

    def check_refused(self, says, n, *words):
        def seconds_until_said():
            begin = time.monotonic()
            child = subprocess.Popen(mpirun(n, *words), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                     env=clean_environment(**SETTINGS))
            lines, seconds = [], None
            for line in child.stderr:
                if line.startswith(b"phalanx"):
                    lines.append(line.decode())
                    seconds = seconds or time.monotonic() - begin
            child.stderr.close()
            self.assertEqual(child.wait(), 2, lines)
            self.assertEqual(len(lines), 1, lines)
            self.assertIn(says, lines[0])
            return seconds
        self.assertLess(least_of(seconds_until_said, BOUND_S), BOUND_S)


@unittest.skipUnless(HAS_MPI, "no mpirun (install openmpi-bin)")
class Ends(unittest.TestCase):
    """However one of its processes ends, none is left and the stream ends with one error."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="phalanx-test-")
        self.addCleanup(folder.cleanup)
        self.errors = open(f"{folder.name}/errors", "x+", encoding="utf-8")
        self.addCleanup(self.errors.close)
        # A mpirun that is killed leaves its files behind.
        self.settings = {**SETTINGS, "OMPI_MCA_btl_vader_backing_directory": folder.name,
                         "OMPI_MCA_orte_tmpdir_base": folder.name}

    def start(self):
        """The processes print to a file: mpirun hands on nothing in the second in which it waits
        for the ranks of a lost one."""
        words = mpirun(2, "generate", DEMO, *LONG, *SLOWLY)
        words[3:3] = ["sh", "-c", 'exec "$0" "$@" 2>>"$ERRORS"']
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 env=clean_environment(**self.settings, ERRORS=self.errors.name))
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.addCleanup(child.stdout.close)
        self.assertNotEqual(child.stdout.read(1), b"", "no token came")
        reader = threading.Thread(target=child.stdout.read)
        reader.start()
        self.addCleanup(reader.join)
        return child, self.find()

    def find(self):
        found = places()
        rank_0 = next(p for p in found if p.name == "phalanx-rank" and p.rank == b"0")
        return {"rank 0": rank_0.pid,
                "rank 1": next(p.pid for p in found
                               if p.name == "phalanx-rank" and p.rank == b"1"),
                "what waits": rank_0.parent,
                "gateway": next(p.pid for p in found
                                if p.name == "phalanx" and p.parent == rank_0.parent)}

    def end(self, who, number=signal.SIGKILL):
        """(exit status of mpirun, the lines of standard error, seconds to the first of them)"""
        child, pid = self.start()
        begin = time.monotonic()
        os.kill(child.pid if who == "mpirun" else pid[who], number)
        lines, seconds, left = [], None, True
        while (left or child.poll() is None) and time.monotonic() - begin < 30:
            lines += self.errors.readlines()
            seconds = seconds or (time.monotonic() - begin if lines else None)
            left = [p.name for p in places() if p.pid in pid.values()]
            time.sleep(0.02)
        self.assertFalse(left, f"{who} ended, and these live on: {left}")
        code = child.wait()
        lines += self.errors.readlines()
        return code, lines, seconds or time.monotonic() - begin

    def test_a_lost_rank_is_one_error_within_a_second(self):
        def seconds_until_said(who):
            _, lines, seconds = self.end(who)
            lines = [line for line in lines if " warn  watchdog: " not in line]
            self.assertEqual(len(lines), 1, lines)
            self.assertIn("lost", lines[0])
            return seconds
        for who in ("rank 0", "rank 1"):
            with self.subTest(who):
                self.assertLess(least_of(lambda w=who: seconds_until_said(w), BOUND_S), BOUND_S)

    def test_rank_0_ends_with_the_exit_code_of_the_gateway(self):
        self.assertEqual(self.end("rank 0")[0], 70)

    def test_nothing_outlives_the_gateway(self):
        self.assertNotEqual(self.end("gateway")[0], 0)

    def test_nothing_outlives_the_process_that_waits(self):
        self.assertNotEqual(self.end("what waits")[0], 0)

    def test_nothing_outlives_mpirun(self):
        self.end("mpirun")

    def test_ctrl_c_at_mpirun_ends_all(self):
        self.assertNotEqual(self.end("mpirun", signal.SIGINT)[0], 0)


@unittest.skipUnless(HAS_MPI, "no mpirun (install openmpi-bin)")
class Binding(unittest.TestCase):
    def cpus_of_ranks(self, *words):
        """The CPUs that each of two ranks may use while they give tokens."""
        child = subprocess.Popen([str(PHALANX), "generate", str(DEMO), *LONG, "-tp", "2", "--kernels",
                                  "scalar", *words],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.addCleanup(child.stdout.close)
        self.assertNotEqual(child.stdout.read(1), b"", "no token came")
        found = [os.sched_getaffinity(p.pid) for p in places() if p.name == "phalanx-rank"]
        child.terminate()
        child.wait()
        self.assertEqual(len(found), 2)
        return found

    def test_ranks_get_cores_of_their_own(self):
        mine = os.sched_getaffinity(0)
        if len(mine) < 2:
            self.skipTest("this machine has one CPU")
        first, second = self.cpus_of_ranks("--bind", "core")
        self.assertFalse(first & second)
        self.assertEqual(first | second, mine)

    def test_ranks_may_be_left_alone(self):
        mine = os.sched_getaffinity(0)
        self.assertEqual(self.cpus_of_ranks("--bind", "none"), [mine, mine])


class Srun(unittest.TestCase):
    def test_tasks_without_pmix_are_told_the_remedy_once(self):
        """As srun -n 2 starts them; tests/cluster has the real one."""
        def seconds(task):
            begin = time.monotonic()
            done = subprocess.run([str(PHALANX), "generate", str(DEMO), *SHORT],
                                  capture_output=True, check=False, timeout=60,
                                  env=clean_environment(SLURM_PROCID=task, SLURM_STEP_NUM_TASKS="2"))
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stdout, b"")
            self.assertEqual("srun --mpi=pmix" in done.stderr.decode(), task == "0")
            return time.monotonic() - begin
        for task in ("0", "1"):
            self.assertLess(least_of(lambda t=task: seconds(t), BOUND_S), BOUND_S)


class Hostfiles(unittest.TestCase):
    """What is checked before anything starts; tests/cluster has the hosts."""

    def check_refused(self, says, text, *sizes):
        with tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts:
            hosts.write(text)
            hosts.flush()
            def seconds():
                result = phalanx("generate", DEMO, *SHORT, "--hostfile", hosts.name, *sizes)
                self.assertEqual(result.code, 2)
                self.assertIn(says, result.err)
                return result.seconds
            self.assertLess(least_of(seconds, BOUND_S), BOUND_S)

    def test_a_line_that_is_none_is_named(self):
        self.check_refused("line 2: want a name and slots=N", "localhost slots=1\nbeta\n")

    def test_too_few_slots_are_counted(self):
        self.check_refused("has 2 slots, and -tp 2 with -pp 2 wants 4", "localhost slots=2\n",
                           "-tp", "2", "-pp", "2")

    def test_this_host_comes_first(self):
        self.check_refused("begins with 192.0.2.1, which is not this host",
                           "192.0.2.1 slots=1\nlocalhost slots=1\n", "-tp", "2")

    def test_replicas_have_no_hosts(self):
        self.check_refused("--hostfile is of one job", "localhost slots=2\n", "-dp", "2")

    @unittest.skipUnless(HAS_MPI, "no mpirun (install openmpi-bin)")
    def test_this_host_alone_is_enough(self):
        with tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts:
            hosts.write("localhost slots=2\n")
            hosts.flush()
            result = phalanx("generate", DEMO, *SHORT, "-tp", "2", "--hostfile", hosts.name)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(result.out, phalanx("generate", DEMO, *SHORT).out)


if __name__ == "__main__":
    unittest.main()
