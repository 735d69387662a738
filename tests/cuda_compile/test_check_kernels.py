"""What check_kernels.py says of logs, tables and instructions that are made up."""
import unittest

import check_kernels
from check_kernels import Use

LOG = """ptxas info    : Compiling entry function '_Z6attendI3onelE4args' for 'sm_80'
ptxas info    : Function properties for _Z6attendI3onelE4args
    40 bytes stack frame, 56 bytes spill stores, 76 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 40 bytes cumulative stack size
ptxas info    : Compiling entry function '_ZN12_GLOBAL__N_14tileE3job' for 'sm_90a'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 24 registers
"""
CODE = """
Fatbin elf code:
================
arch = sm_80

\t\tFunction : _Z9attentionI10cache_bf16Li64EEv4args
\t\t/*0000*/  HMMA.16816.F32.BF16 R4, R8, R12, R4 ;
\t\t/*0010*/  LDSM.16.M88.4 R8, [R2] ;
\t\t/*0020*/  LDGSTS.E.BYPASS.128 [R2], [R4] ;
"""


class Tables(unittest.TestCase):
    def problems(self, found, table, same_compiler=True):
        return list(check_kernels.problems("13.0", "13.0" if same_compiler else "12.9", found, table))

    def test_a_log_has_kernels_by_target(self):
        found = check_kernels.read_log(LOG)
        self.assertEqual(found, {("sm_80", "_Z6attendI3onelE4args"): Use(255, 40, 132),
                                 ("sm_90a", "_ZN12_GLOBAL__N_14tileE3job"): Use(24, 0, 0)})

    def test_names_are_those_of_the_source(self):
        names = check_kernels.demangle(["_ZN12_GLOBAL__N_14tileE3job",
                                        "_Z9attentionI10cache_bf16Li64EEv4args"])
        self.assertEqual(list(names.values()), ["tile", "attention<cache_bf16,64>"])

    def test_a_kernel_may_shrink(self):
        self.assertEqual(self.problems({("sm_80", "k"): Use(20, 0, 0)}, {("sm_80", "k"): Use(24, 8, 0)}), [])

    def test_a_kernel_that_has_grown_is_told(self):
        table = {("sm_80", "k"): Use(24, 8, 4)}
        for use in (Use(25, 8, 4), Use(24, 9, 4), Use(24, 8, 5)):
            self.assertRegex(self.problems({("sm_80", "k"): use}, table)[0], "^k for sm_80 has")

    def test_of_another_compiler_only_spills_count(self):
        table = {("sm_80", "k"): Use(24, 0, 0)}
        self.assertEqual(self.problems({("sm_80", "k"): Use(99, 8, 0)}, table, False), [])
        self.assertEqual(len(self.problems({("sm_80", "k"): Use(9, 0, 4)}, table, False)), 1)

    def test_table_and_program_have_the_same_kernels(self):
        found = {("sm_80", "new"): Use(1, 0, 0)}
        told = self.problems(found, {("sm_80", "old"): Use(1, 0, 0), ("sm_100", "old"): Use(1, 0, 0)})
        self.assertEqual(len(told), 2, told)  # nothing of sm_100, which was not built
        self.assertIn("new for sm_80 is not in the table", told[0])
        self.assertIn("old for sm_80 is in the table and not in the program", told[1])


class Instructions(unittest.TestCase):
    def missing(self, code):
        return [line for line in check_kernels.missing_instructions(code) if "attention" in line]

    def test_all_that_are_meant_are_there(self):
        self.assertEqual(self.missing(CODE), [])

    def test_one_that_is_missing_is_told_with_kernel_and_target(self):
        told = self.missing(CODE.replace("HMMA", "FFMA"))
        self.assertEqual(len(told), 1, told)
        self.assertRegex(told[0], r"^attention<cache_bf16,64> for sm_80 has no .*HMMA")

    def test_a_kernel_that_is_not_there_is_told(self):
        self.assertRegex(self.missing("")[0], "no kernel is called attention")


if __name__ == "__main__":
    unittest.main()
