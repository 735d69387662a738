"""libphalanx as users have it: installed, and programs of theirs built against it."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "commands"))
from common import BUILD, DEMO, SANITIZED, SOURCE, TIMEOUT_S, phalanx  # noqa: E402

EXAMPLES = ("ask", "stream_chat")
PROMPTS = ("Once upon a time", "The old king")

PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(example LANGUAGES C)
find_package(Phalanx 0.1 REQUIRED)
foreach(name ask stream_chat)
  add_executable(${name} ${EXAMPLES}/${name}.c)
  target_link_libraries(${name} PRIVATE Phalanx::phalanx)
endforeach()
"""
BOTH_LANGUAGES = '#include <phalanx.h>\nint main(void) { return phalanx_version()[0] != \'0\'; }\n'


def run(*words, stdin="", **more):
    done = subprocess.run([str(word) for word in words], input=stdin, capture_output=True,
                          text=True, timeout=TIMEOUT_S, check=False, **more)
    if done.returncode != 0:
        raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        top = pathlib.Path(cls.folder.name)
        run("cmake", "--install", BUILD, "--prefix", top / "first")
        cls.prefix = top / "installed"  # a tree that was moved is as good
        (top / "first").rename(cls.prefix)
        cls.environment = {**os.environ, "LD_LIBRARY_PATH": str(cls.prefix / "lib"),
                           "PKG_CONFIG_PATH": str(cls.prefix / "lib" / "pkgconfig")}
        cls.environment.pop("PHALANX_RANK", None)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def flags(self, *words):
        return run("pkg-config", *words, "phalanx", env=self.environment).split()

    def build_with_pkg_config(self, folder):
        sanitize = [f"-fsanitize={os.environ['PHALANX_SANITIZED']}"] if SANITIZED else []
        for name in EXAMPLES:
            source = self.prefix / "share" / "doc" / "phalanx" / "examples" / f"{name}.c"
            run("cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *sanitize, source,
                "-o", folder / name, *self.flags("--cflags", "--libs"))

    def build_with_cmake(self, folder):
        (folder / "CMakeLists.txt").write_text(PROJECT)
        examples = self.prefix / "share" / "doc" / "phalanx" / "examples"
        flags = f"-fsanitize={os.environ['PHALANX_SANITIZED']}" if SANITIZED else ""
        run("cmake", "-S", folder, "-B", folder, f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DEXAMPLES={examples}", f"-DCMAKE_C_FLAGS={flags}")
        run("cmake", "--build", folder)

    def check_examples(self, folder):
        words = ["--temperature", "0"]
        told = run(folder / "ask", DEMO, *PROMPTS, env=self.environment)
        want = [phalanx("generate", DEMO, "-p", prompt, "--max-tokens", "24", *words).out
                for prompt in PROMPTS]
        self.assertEqual(told, "".join(want))
        told = run(folder / "stream_chat", DEMO, "--temperature=0", stdin="Hi\n",
                   env=self.environment)
        self.assertEqual(told, phalanx("chat", DEMO, "-q", "Hi", *words).out)

    def test_examples_built_with_pkg_config_answer_as_the_command_does(self):
        with tempfile.TemporaryDirectory() as folder:
            self.build_with_pkg_config(pathlib.Path(folder))
            self.check_examples(pathlib.Path(folder))

    def test_examples_built_with_cmake_answer_as_the_command_does(self):
        with tempfile.TemporaryDirectory() as folder:
            self.build_with_cmake(pathlib.Path(folder))
            self.check_examples(pathlib.Path(folder))

    def test_the_header_is_clean_in_both_languages(self):
        with tempfile.TemporaryDirectory() as folder:
            for compiler, standard, suffix in (("cc", "c99", "c"), ("c++", "c++11", "cpp")):
                source = pathlib.Path(folder) / f"version.{suffix}"
                source.write_text(BOTH_LANGUAGES)
                run(compiler, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow",
                    "-Werror", "-fsyntax-only", source, *self.flags("--cflags"))

    def test_only_the_names_of_the_header_are_seen(self):
        library = self.prefix / "lib" / "libphalanx.so"
        names = [line.split()[-1] for line in run("nm", "-D", "--defined-only", library)
                 .splitlines()]
        header = (self.prefix / "include" / "phalanx.h").read_text()
        self.assertIn("phalanx_open", names)
        for name in names:
            if SANITIZED and not name.startswith("phalanx"):
                continue
            self.assertIn(f"{name}(", header)

    def test_the_library_has_a_name_for_the_linker(self):
        told = run("readelf", "-d", self.prefix / "lib" / "libphalanx.so")
        self.assertIn("[libphalanx.so.0]", told)

    def test_a_program_of_the_ranks_that_is_named_is_taken(self):
        with tempfile.TemporaryDirectory() as folder:
            self.build_with_pkg_config(pathlib.Path(folder))
            words = [str(pathlib.Path(folder) / "ask"), str(DEMO), "Hi"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S,
                                  env={**self.environment, "PHALANX_RANK": "/no/rank"},
                                  check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("PHALANX_RANK: /no/rank", done.stderr)
            run(*words, env={**self.environment, "PHALANX_RANK": str(BUILD / "phalanx-rank")})

    def test_everything_a_user_needs_is_installed(self):
        for name in ("bin/phalanx", "bin/phalanx-rank", "include/phalanx.h", "lib/libphalanx.so",
                     "lib/pkgconfig/phalanx.pc", "lib/cmake/Phalanx/PhalanxConfig.cmake",
                     "lib/cmake/Phalanx/PhalanxConfigVersion.cmake",
                     "lib/systemd/system/phalanx.service", "share/doc/phalanx/deploy/alerts.yml",
                     "share/doc/phalanx/library.md",
                     "share/phalanx/demo/model/config.json"):
            self.assertTrue((self.prefix / name).exists(), name)

    def test_the_installed_command_has_its_demo(self):
        told = run(self.prefix / "bin" / "phalanx", "demo", "--max-tokens", "4")
        self.assertNotEqual(told, "")


if __name__ == "__main__":
    unittest.main()
