"""The ranks of a job and each other: they refuse what differs, and notice one that stops."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import unittest

from common import (BUILD, DEMO, HAS_MPI, PHALANX, SANITIZED, SLOWLY, TRIES, ModelCase, phalanx,
                    least_of)
from test_processes import wait_for

RANK = BUILD / "phalanx-rank"
LONG = ("-p", "Once upon a time", "--max-tokens", "1900", "--ignore-eos", "--temperature", "0")
MPIRUN_ENV = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                  OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none",
                  OMPI_MCA_orte_execute_quiet="1")


@unittest.skipUnless(HAS_MPI, "mpirun is not installed")
class Handshake(ModelCase):
    def job(self, *ranks):
        """Runs one rank for each list of words; exit code, all that was said, and seconds."""
        path = str(self.folder / "engine")
        words = ["mpirun"]
        for i, rank in enumerate(ranks):
            words += [":"] * (i > 0) + ["-n", "1", *map(str, rank), "--link", path,
                                        "-tp", str(len(ranks)), "--threads", "1"]
        with socket.socket(socket.AF_UNIX) as listener:
            pathlib.Path(path).unlink(missing_ok=True)
            listener.bind(path)
            listener.listen()
            begin = time.monotonic()
            with subprocess.Popen(words, env=MPIRUN_ENV, stderr=subprocess.PIPE) as job:
                link, _ = listener.accept()
                told = b""
                while more := link.recv(65536):
                    told += more
                link.close()
                told += job.communicate(timeout=60)[1]
            return job.returncode, told.decode(errors="replace"), time.monotonic() - begin

    def refused(self, message, *ranks):
        def run():
            code, told, seconds = self.job(*ranks)
            self.assertEqual(code, 2, told)
            self.assertIn(message, told)
            self.assertNotIn("weights", told)
            return seconds
        bound_s = 60 if SANITIZED else 8  # 2 s, and what mpirun takes to start and end
        self.assertLess(least_of(run, bound_s), bound_s)

    def test_another_checkpoint_is_refused_and_the_ranks_are_named(self):
        header, data = self.read_tensors()
        other = bytearray(data)
        other[0] ^= 1
        self.write_tensors(header, bytes(other))
        self.refused("ranks 1, 2 have another checkpoint than rank 0",
                     (RANK, DEMO), (RANK, self.model), (RANK, self.model))

    def test_another_config_is_refused(self):
        self.edit_config(rms_norm_eps=0.5)
        self.refused("rank 1 has another config.json than rank 0", (RANK, DEMO), (RANK, self.model))

    def test_other_options_are_refused(self):
        self.refused("rank 1 has other options than rank 0",
                     (RANK, DEMO), (RANK, DEMO, "--max-num-seqs", "7"))

    def test_another_build_is_refused(self):
        program = self.folder / "phalanx-rank"
        build_id = re.search(r'"([0-9a-f]{16})"', (BUILD / "launcher/build_id.c").read_text())[1]
        whole = RANK.read_bytes()
        self.assertEqual(whole.count(build_id.encode()), 1)
        program.write_bytes(whole.replace(build_id.encode(), build_id[::-1].encode()))
        program.chmod(0o755)
        self.refused("rank 1 has another build of phalanx-rank than rank 0",
                     (RANK, DEMO), (program, DEMO))

    def test_a_rank_without_the_model_is_named(self):
        code, told, _ = self.job((RANK, DEMO), (RANK, self.folder / "none"))
        self.assertEqual(code, 2, told)
        self.assertIn("rank 1: ", told)
        self.assertIn(str(self.folder / "none"), told)


def rank_processes():
    """World rank -> process id, of this build."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "exe") == str(RANK.resolve()):
                env = (entry / "environ").read_bytes()
                found[int(re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", env)[1])] = int(entry.name)
        except (OSError, TypeError):
            continue
    return found


@unittest.skipUnless(HAS_MPI, "mpirun is not installed")
class Spent(unittest.TestCase):
    SPENT = re.compile(r"communication of rank 0 in each of (\d+) plans: "
                       r"stage (\S+) calls, (\d+) bytes, (\S+) us; "
                       r"other stages (\S+) calls, (\d+) bytes, (\S+) us")

    def spent(self, *words):
        result = phalanx("generate", DEMO, "-p", "Once", "--max-tokens", 40, "--ignore-eos",
                         "--log-level", "info", *words)
        self.assertEqual(result.code, 0, result.err)
        return [tuple(map(float, found)) for found in self.SPENT.findall(result.err)]

    def test_one_rank_alone_has_nothing_to_tell(self):
        self.assertEqual(self.spent(), [])

    def test_a_plan_has_two_sums_a_layer(self):
        (plans, calls, n_bytes, us, others, _, _), = self.spent("-tp", 2)
        self.assertEqual(plans, 41)  # the last one says stop
        # 4 layers, embedding, gather of logits, two parts of the plan: for 40 of the plans all
        self.assertAlmostEqual(calls, (40 * (2 * 4 + 1 + 1 + 2) + 2) / 41, delta=0.1)
        self.assertGreater(n_bytes, 9 * 256 * 4)
        self.assertGreater(us, 0)
        self.assertEqual(others, 0)

    def test_a_stage_alone_talks_to_the_others_only(self):
        (_, _, _, _, others, n_bytes, us), = self.spent("-pp", 2)
        self.assertGreater(others, 3)  # plan, residual, picks
        self.assertGreater(n_bytes, 256 * 4)
        self.assertGreater(us, 0)


@unittest.skipUnless(HAS_MPI, "mpirun is not installed")
class Stopped(unittest.TestCase):
    def start(self, *words):
        child = subprocess.Popen([str(PHALANX), "generate", str(DEMO), *LONG, *words],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertNotEqual(child.stdout.read(1), b"", "no token came")
        return child, rank_processes()

    def test_one_that_stops_for_a_second_is_one_warning_and_the_same_tokens(self):
        undisturbed = phalanx("generate", DEMO, "-tp", "3", *LONG)
        told = []

        def is_one_warning():
            """Not so where the machine stands still as well, for two seconds or once more."""
            child, pid = self.start("-tp", "3")
            os.kill(pid[1], signal.SIGSTOP)
            time.sleep(1)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid[1], signal.SIGCONT)
            out, err = child.communicate(timeout=120)
            told.append(err)
            self.assertEqual(child.returncode, 0, err)
            self.assertTrue(undisturbed.out.encode().endswith(out))
            return err.count(b"rank 1 did not answer for") == 1
        self.assertTrue(any(is_one_warning() for _ in range(TRIES)), told)

    def test_one_that_stops_for_good_ends_the_job_with_its_name(self):
        for comm in "shm", "mpi":
            for stopped in 0, 1:
                with self.subTest(comm=comm, stopped=stopped):
                    child, pid = self.start("-tp", "2", "--comm", comm,
                                            "--max-restarts", "0", *SLOWLY)
                    begin = time.monotonic()
                    os.kill(pid[stopped], signal.SIGSTOP)
                    _, err = child.communicate(timeout=60)
                    self.assertEqual(child.returncode, 70, err)
                    self.assertLess(time.monotonic() - begin, 10)
                    self.assertRegex(err, f"rank {stopped} has not answered for [2-9]\\.".encode())
                    self.assertTrue(wait_for(lambda: not rank_processes()), rank_processes())

    def test_a_job_that_stops_as_a_whole_goes_on_beyond_its_deadline(self):
        def goes_on(comm):
            """Not so where one rank stands still for its second while the other does not."""
            # of which the other half is still to come when the job goes on
            child, pid = self.start("-tp", "2", "--comm", comm, "--max-restarts", "0",
                                    "--distributed-timeout-seconds", "1", *SLOWLY,
                                    "--max-tokens", "100" if SANITIZED else "400")
            for number in signal.SIGSTOP, signal.SIGCONT:
                for process in pid.values():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, number)
                time.sleep(4)
            told.append(child.communicate(timeout=120)[1])
            return child.returncode == 0
        for comm in "shm", "mpi":
            with self.subTest(comm=comm):
                told = []
                self.assertTrue(any(goes_on(comm) for _ in range(TRIES)), told)

    def test_one_that_stops_while_the_job_is_idle_ends_it_too(self):
        child = subprocess.Popen([str(PHALANX), "chat", str(DEMO), "-tp", "2",
                                  "--max-restarts", "0"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        self.addCleanup(child.kill)
        child.stdin.write(b"Hello\n")
        child.stdin.flush()
        self.assertNotEqual(child.stdout.read(1), b"", "no token came")
        time.sleep(3)
        os.kill(rank_processes()[1], signal.SIGSTOP)
        self.assertTrue(wait_for(lambda: not rank_processes()), rank_processes())
        _, err = child.communicate(b"Hello again\n", timeout=60)
        self.assertEqual(child.returncode, 70, err)


if __name__ == "__main__":
    unittest.main()
