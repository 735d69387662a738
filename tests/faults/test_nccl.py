"""GPUs that do not come, hang, fail or come late between ranks: emulated ones, with an NCCL that
breaks in a call of a rank (tests/nccl_emulator/nccl_emulator.h)."""
import os
import unittest
import unittest.mock

from common import HAS_MPI, phalanx
from faults import NO_MPI, FaultCase

WORDS = ["-p", "Once upon a time", "--max-tokens", 12, "--temperature", 0, "--device", "cuda",
         "--distributed-timeout-seconds", 3, "--max-restarts", 0]


@unittest.skipUnless(HAS_MPI, NO_MPI)
class Nccl(FaultCase):
    def run_with(self, fault, *words):
        with unittest.mock.patch.dict(os.environ, EMULATOR_DEVICES="4", NCCL_EMULATOR=fault):
            return phalanx("generate", self.model, *WORDS, *words)

    def check_lost(self, fault, *words, says):
        def run():
            result = self.run_with(fault, *words)
            self.assertEqual(result.code, 70, result.err)
            self.assertIn(says, result.err)
            self.check_texts(result.err)
            return result.seconds
        self.check_within(10, run)

    def test_a_call_that_comes_late_changes_nothing(self):
        plain = self.run_with("delay:9:1:0", "-tp", 2)
        late = self.run_with("delay:1:40:1000", "-tp", 2)
        self.assertEqual((late.code, late.out), (0, plain.out), late.err)

    def test_a_gpu_that_hangs_is_named_with_the_call(self):
        self.check_lost("hang:1:40", "-tp", 2, "--enforce-eager",
                        says="tree_reduce #41: the GPU of rank 1 did not come within 3.0 s")

    def test_a_gpu_that_hangs_in_a_record_is_named_with_the_call(self):
        self.check_lost("hang:1:40", "-tp", 2, says="tree_reduce #41: the GPU of rank 1 did not "
                        "come within 3.0 s, and was last seen")

    def test_one_of_four_gpus_that_hangs_in_a_record_is_named(self):
        self.check_lost("hang:2:40", "-tp", 4, says="the GPU of rank 2 did not come within 3.0 s")

    def test_a_gpu_that_hangs_in_a_record_of_exact_sums_is_named_with_the_call(self):
        self.check_lost("hang:1:40", "-tp", 2, "--numerics", "exact", says="tree_reduce #41: the "
                        "GPU of rank 1 did not come within 3.0 s, and was last seen before #40")

    def test_a_stage_that_hangs_is_named(self):
        self.check_lost("hang:1:3", "-pp", 2, says="rank 1 did not come within 3.0 s")

    def test_an_error_of_nccl_is_told_with_its_rank_at_once(self):
        self.check_lost("fail:1:40", "-tp", 2, says="NCCL failed on rank 1: unhandled system error")

    def test_a_call_that_nccl_never_takes_is_a_missing_rank(self):
        self.check_lost("stall:1:7", "-tp", 2, says="rank 1 did not come within 3.0 s")

    def test_ranks_that_do_not_meet_say_so(self):
        self.check_lost("absent:1:0", "-tp", 2,
                        says="opening NCCL: the ranks did not meet within 3.0 s")


if __name__ == "__main__":
    unittest.main()
