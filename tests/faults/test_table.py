"""docs/faults.md names tests that exist, and every test of this folder and of tests/http."""
import pathlib
import re
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
TABLE = TESTS.parent / "docs" / "faults.md"
FOLDERS = "commands", "cluster", "faults", "http", "grpc", "serve"
NAMED = re.compile(r"(\w+): (\w+(?:, \w+)*)")


def tests_of(file):
    return set(re.findall(r"def test_(\w+)\(", file.read_text()))


class Table(unittest.TestCase):
    def setUp(self):
        self.there = {}  # two folders may have a file of that name
        for folder in FOLDERS:
            for file in (TESTS / folder).glob("test_*.py"):
                self.there.setdefault(file.stem[len("test_"):], set()).update(tests_of(file))
        self.named = {}
        for row in TABLE.read_text().splitlines():
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            for file, names in NAMED.findall(cells[2]) if len(cells) == 3 else ():
                self.named.setdefault(file, set()).update(names.split(", "))

    def test_rows_name_tests_that_are_there(self):
        self.assertGreater(len(self.named), 8)
        for file, names in self.named.items():
            self.assertEqual(names - self.there.get(file, set()), set(), file)

    def test_no_test_of_these_folders_is_without_a_row(self):
        for file in [*(TESTS / "faults").glob("test_*.py"), *(TESTS / "http").glob("test_*.py")]:
            if file != pathlib.Path(__file__).resolve():
                name = file.stem[len("test_"):]
                self.assertEqual(tests_of(file) - self.named.get(name, set()), set(), name)


if __name__ == "__main__":
    unittest.main()
