"""Phalanx in a batch of Slurm, and started by srun. The scripts are those of docs/clusters.md."""
import json
import time
import unittest

import slurm
import skipped

from common import DEMO, PHALANX, SANITIZED, phalanx

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
        begin = time.monotonic()
        done = self.slurm.run("srun", "-n", "2", PHALANX, "generate", DEMO, *SHORT)
        seconds = time.monotonic() - begin
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, b"")
        ours = [n for n in done.stderr.decode().splitlines() if n.startswith("phalanx")]
        self.assertEqual(len(ours), 1, ours)
        self.assertIn("srun --mpi=pmix", ours[0])
        self.assertLess(seconds, 10 if SANITIZED else 2)  # of it srun takes a part

    def test_srun_with_pmix_makes_ranks_of_its_tasks(self):
        offered = self.slurm.run("srun", "--mpi=list")
        if b"pmix" not in offered.stdout + offered.stderr:
            self.skipTest("this Slurm has no PMIx")
        done = self.slurm.run("srun", "--mpi=pmix", "-n", "2", PHALANX, "generate", DEMO, *SHORT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode(), phalanx("generate", DEMO, *SHORT).out)


if __name__ == "__main__":
    skipped.unless(not slurm.why_not(), slurm.why_not())
    unittest.main()
