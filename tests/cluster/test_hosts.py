"""Ranks on two hosts: the same bits as one rank, and a cut cable is an error with a name."""
import subprocess
import threading
import time
import unittest

import hosts
import skipped

from common import BUILD, DEMO, PHALANX, phalanx, least_of

SHORT = ("-p", "Once upon a time", "--max-tokens", "24", "--temperature", "0")
LONG = ("-p", "Once upon a time", "--max-tokens", "1900", "--ignore-eos",
        "--temperature", "0")
DEADLINE_S = 3
# mpirun and the ranks on the far side of a cut cable notice by themselves, and one after the other.
ALL_GONE_S = 60


class OnTwoHosts(unittest.TestCase):
    def setUp(self):
        self.hosts = hosts.Hosts()
        self.addCleanup(self.hosts.close)

    def words(self, slots, *words):
        """The command line of generate on alpha, over as many ranks of each host."""
        return self.hosts.words(0, str(PHALANX), "generate", str(DEMO), "--hostfile",
                                str(self.hosts.hostfile(*slots)), *words)

    def run_on(self, slots, *words):
        return subprocess.run(self.words(slots, *words), env=self.hosts.environment(),
                              capture_output=True, timeout=300, check=False)

    def check_same(self, slots, *sizes):
        done = self.run_on(slots, *SHORT, *sizes, "--log-level", "info")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode(), phalanx("generate", DEMO, *SHORT).out)
        self.assertEqual(self.hosts.wait_until_empty(ALL_GONE_S), {})
        return done.stderr.decode()

    def test_two_ranks_of_a_layer_have_the_bits_of_one(self):
        self.assertIn("mpi", self.check_same((1, 1), "-tp", "2"))

    def test_two_stages_have_the_bits_of_one(self):
        self.check_same((1, 1), "-pp", "2")

    def test_ranks_of_a_stage_share_a_host_and_its_memory(self):
        # of the third slots nothing is used: a stage on both hosts would talk over the cable
        said = self.check_same((3, 3), "-tp", "2", "-pp", "2")
        self.assertIn("shm", said)

    def test_a_model_that_a_host_lacks_is_named_with_its_rank(self):
        self.hosts.on(1, "mount", "-t", "tmpfs", "none", DEMO)
        done = self.run_on((1, 1), *SHORT, "-tp", "2")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(f"rank 1: {DEMO}", done.stderr.decode())

    def test_a_program_that_a_host_lacks_is_told_as_such(self):
        self.hosts.on(1, "mount", "-t", "tmpfs", "none", BUILD)
        done = self.run_on((1, 1), *SHORT, "-tp", "2")
        self.assertEqual(done.returncode, 70, done.stderr)
        self.assertIn("every host of --hostfile must", done.stderr.decode())

    def test_hosts_that_do_not_begin_here_are_refused(self):
        path = self.hosts.hostfile(1, 1)
        done = subprocess.run(self.hosts.words(1, str(PHALANX), "generate", str(DEMO), *SHORT,
                                               "-tp", "2", "--hostfile", str(path)),
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("begins with alpha, which is not this host", done.stderr.decode())

    def cut_while_it_runs(self, *words):
        """The program, whose answer has begun, and a function that waits for its end: (exit code,
        answer, our lines of standard error). The cable is cut."""
        # a file, because what mpirun started on beta has the same standard error, and may live on
        errors = (self.hosts.folder / "errors").open("w+")
        self.addCleanup(errors.close)
        child = subprocess.Popen(self.words((1, 1), *LONG, *words, "--distributed-timeout-seconds",
                                            str(DEADLINE_S)),
                                 env=self.hosts.environment(), stdout=subprocess.PIPE,
                                 stderr=errors)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        answer = [child.stdout.read(1)]
        self.assertNotEqual(answer[0], b"", "no token came")
        reader = threading.Thread(target=lambda: answer.append(child.stdout.read()))
        reader.start()
        self.hosts.cut()

        def end():
            code = child.wait(timeout=300)
            reader.join()
            errors.seek(0)
            said = [line for line in errors if line.startswith("phalanx: ")]
            return code, b"".join(answer).decode(), said
        return end

    def check_named(self, *sizes, within):
        def run():
            self.hosts.mend()
            end = self.cut_while_it_runs(*sizes, "--max-restarts", "0")
            begin = time.monotonic()
            code, _, said = end()
            seconds = time.monotonic() - begin
            self.assertEqual(code, 70, said)
            self.assertEqual(len(said), 1, said)
            # ours, which knows the rank, or that of mpirun, whose connections were the first to end
            self.assertRegex(said[0], "rank 1|a host of --hostfile no longer answers")
            self.assertEqual(self.hosts.wait_until_empty(ALL_GONE_S), {})
            return seconds
        self.assertLess(least_of(run, within), within)

    def test_a_cut_cable_between_ranks_of_a_layer_is_an_error_with_a_name(self):
        self.check_named("-tp", "2", within=DEADLINE_S + 2)

    def test_a_cut_cable_between_stages_is_an_error_with_a_name(self):
        # stages wait longer, by what the largest plan may take: runtime/forward/patience.h
        self.check_named("-pp", "2", within=DEADLINE_S + 20)

    def test_a_cable_that_is_mended_is_a_pause_in_the_answer(self):
        end = self.cut_while_it_runs("-tp", "2")
        time.sleep(DEADLINE_S + 3)  # the first new start is already under way
        self.hosts.mend()
        code, answer, said = end()
        self.assertEqual(code, 0, said)
        self.assertEqual(answer, phalanx("generate", DEMO, *LONG).out)
        self.assertIn("starting the ranks again", said[0])


if __name__ == "__main__":
    skipped.unless(not hosts.why_not(), hosts.why_not())
    unittest.main()
