"""Phalanx in a batch of Slurm, and started by srun. The scripts are those of docs/clusters.md."""
import http.client
import json
import os
import re
import time
import unittest

import slurm
import skipped

from common import DEMO, PHALANX, SOURCE, phalanx, least_of

SHORT = ("-p", "Once upon a time", "--max-tokens", "16", "--temperature", "0")
PROMPTS = ("Once upon a time", "The little bear", "Tensor parallelism")
# mpirun refuses root, and ranks that outnumber the cores, unless told; a node of a test has few.
SCRIPT = """#!/bin/sh
#SBATCH --nodes=1 --ntasks=2
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
"""


class InSlurm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.slurm = slurm.Slurm()
        cls.addClassCleanup(cls.slurm.close)

    def batch(self, name, command):
        """(output, what went to standard error) of a batch script with this command."""
        folder = self.slurm.folder
        script, out, err = (folder / f"{name}.{end}" for end in ("sh", "out", "err"))
        script.write_text(SCRIPT + command + "\n")
        done = self.slurm.run("sbatch", "--wait", f"--output={out}", f"--error={err}", script,
                              cwd=folder)
        self.assertEqual(done.returncode, 0, done.stderr.decode() + err.read_text())
        return out.read_text()

    def answers(self, lines):
        return [json.loads(line) for line in lines.splitlines()]

    def test_a_batch_file_over_two_ranks(self):
        prompts = self.slurm.folder / "prompts.txt"
        prompts.write_text("\n".join(PROMPTS) + "\n")
        words = ("--prompts-file", prompts, "--jsonl", "--max-tokens", "16", "--temperature", "0",
                 "--seed", "7")
        want = self.answers(phalanx("generate", DEMO, *words).out)
        line = " ".join(str(w) for w in (PHALANX, "generate", DEMO, *words))
        for name, command in (("by-mpirun", f"mpirun -n 2 {line}"), ("by-phalanx", f"{line} -tp 2")):
            with self.subTest(name):
                got = self.answers(self.batch(name, command))
                self.assertEqual(len(got), len(PROMPTS))
                self.assertEqual(got, want)

    def test_srun_without_pmix_is_refused_with_the_remedy(self):
        def run():
            begin = time.monotonic()
            done = self.slurm.run("srun", "-n", "2", PHALANX, "generate", DEMO, *SHORT)
            seconds = time.monotonic() - begin
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stdout, b"")
            ours = [n for n in done.stderr.decode().splitlines() if n.startswith("phalanx")]
            self.assertEqual(len(ours), 1, ours)
            self.assertIn("srun --mpi=pmix", ours[0])
            return seconds
        self.assertLess(least_of(run, 2), 2)  # of it srun takes a part

    def test_srun_with_pmix_makes_ranks_of_its_tasks(self):
        offered = self.slurm.run("srun", "--mpi=list")
        if b"pmix" not in offered.stdout + offered.stderr:
            self.skipTest("this Slurm has no PMIx")
        done = self.slurm.run("srun", "--mpi=pmix", "-n", "2", PHALANX, "generate", DEMO, *SHORT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode(), phalanx("generate", DEMO, *SHORT).out)

    def test_the_server_of_the_docs_finishes_its_answers_when_its_time_is_up(self):
        folder, key = self.slurm.folder, "a-key-of-the-test"
        (folder / ".phalanx-keys").write_text(key + "\n")
        script = folder / "server.sh"
        text = (SOURCE / "docs" / "deploy" / "slurm.sh").read_text()
        for line in ("--ntasks=4", "--cpus-per-task=8", "--gpus-per-node=4"):
            self.assertIn(line, text)  # this node has two CPUs, and no GPU
        text = re.sub("(?m)^#SBATCH --(cpus-per-task|gpus-per-node)=.*\n", "", text)
        script.write_text(text.replace("--ntasks=4", "--ntasks=2"))
        out = folder / "server.out"
        done = self.slurm.run("env", f"HOME={folder}", f"PATH={PHALANX.parent}:{os.environ['PATH']}",
                              "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                              "sbatch", "--parsable", f"--output={out}", script, DEMO,
                              "--port", "0", cwd=folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        job = done.stdout.decode().strip()
        ready = self.wait_for(lambda: out.exists() and
                              re.search(r"is ready at http://[^:]+:(\d+) .* tp 2 x", out.read_text()))
        connection = http.client.HTTPConnection("127.0.0.1", int(ready[1]), timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/completions", json.dumps(
            {"prompt": "Once", "max_tokens": 500, "ignore_eos": True, "stream": True}),
            {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        answer.readline()
        done = self.slurm.run("scancel", "--batch", "--signal=TERM", job)
        self.assertEqual(done.returncode, 0, done.stderr)
        events = answer.read().decode()
        self.assertIn('"finish_reason":"length"', events)
        self.assertTrue(events.endswith("data: [DONE]\n\n"))
        state = self.wait_for(lambda: re.search(
            r"JobState=(COMPLETED|FAILED|CANCELLED)\b[^$]*ExitCode=(\S+)",
            self.slurm.run("scontrol", "show", "job", job).stdout.decode()))
        self.assertEqual(state.groups(), ("COMPLETED", "0:0"), out.read_text())

    def wait_for(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.1)
        self.fail("it never came")


if __name__ == "__main__":
    skipped.unless(not slurm.why_not(), slurm.why_not())
    unittest.main()
