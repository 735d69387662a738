"""docs/faults.md names tests that exist, and every test of this folder, of tests/http, and of how a
server lives."""
import pathlib
import re
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
TABLE = TESTS.parent / "docs" / "faults.md"
FOLDERS = "commands", "cluster", "faults", "http", "grpc", "serve"
OF_SERVERS = ("connections", "history", "life", "load", "operations",
              "pauses")  # of tests/serve; the others are of clients
NAMED = re.compile(r"(\w+): (\w+(?:, \w+)*)")


def name_of(file):
    """As rows have it; those of tests/serve as CTest has them."""
    name = file.stem[len("test_"):]
    return f"serve_{name}" if file.parent.name == "serve" else name


def tests_of(file):
    return set(re.findall(r"def test_(\w+)\(", file.read_text()))


class Table(unittest.TestCase):
    def setUp(self):
        self.there = {name_of(file): tests_of(file)
                      for folder in FOLDERS for file in (TESTS / folder).glob("test_*.py")}
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
        servers = [TESTS / "serve" / f"test_{name}.py" for name in OF_SERVERS]
        for file in [*(TESTS / "faults").glob("test_*.py"), *(TESTS / "http").glob("test_*.py"),
                     *servers]:
            if file != pathlib.Path(__file__).resolve():
                name = name_of(file)
                self.assertEqual(self.there[name] - self.named.get(name, set()), set(), name)


if __name__ == "__main__":
    unittest.main()
