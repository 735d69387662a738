"""phalanx demo, doctor, --help."""
import pathlib
import unittest

from common import HAS_MPI, SOURCE, phalanx


class Programs(unittest.TestCase):
    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_demo_answers_from_two_ranks(self):
        result = phalanx("demo")
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("> What is tensor parallelism?", result.out)
        self.assertIn("tp 2", result.out)
        answer = result.out.split("\n")[1]
        self.assertRegex(answer, r"(?i)rank|layer|weight|split|share|shard")

    def test_demo_takes_a_question(self):
        result = phalanx("demo", "-tp", 1, "-p", "What is 12 + 30?")
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("42", result.out)

    def test_doctor_looks_at_the_machine(self):
        result = phalanx("doctor")
        self.assertEqual(result.code, 0, result.err)
        for word in ("cpu", "memory", "gpu", "limits", "scalar"):
            self.assertIn(word, result.out)

    def test_docs_options_md_is_current(self):
        printed = phalanx("--help=markdown")
        self.assertEqual(printed.out, pathlib.Path(SOURCE / "docs" / "options.md").read_text())


if __name__ == "__main__":
    unittest.main()
