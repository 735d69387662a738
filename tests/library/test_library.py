"""libphalanx as users have it: installed, and programs of theirs built against it."""
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "commands"))
from common import BUILD, DEMO, SANITIZED, SOURCE, TIMEOUT_S, phalanx  # noqa: E402

EXAMPLES = ("ask", "rate", "stream_chat")
PROMPTS = ("Once upon a time", "The old king")

PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(example LANGUAGES C)
find_package(Phalanx 0.1 REQUIRED)
foreach(name ask rate stream_chat)
  add_executable(${name} ${EXAMPLES}/${name}.c)
  target_link_libraries(${name} PRIVATE Phalanx::phalanx m)
endforeach()
"""
BOTH_LANGUAGES = """
#include <phalanx.h>
#include <stdio.h>
int main(void)
{
    char number[16];
    snprintf(number, sizeof number, "%d", PHALANX_VERSION_NUMBER);
    return printf("%s %s\\n", number, phalanx_version()) < 0;
}
"""

# Programs that were built against an earlier version of the same soname, and of another one.
OTHER_VERSIONS = """
cmake_minimum_required(VERSION 3.22)
project(others LANGUAGES NONE)
find_package(Phalanx 0.0 REQUIRED)
find_package(Phalanx 1.0 QUIET)
if(Phalanx_FOUND)
  message(FATAL_ERROR "${Phalanx_VERSION} is no version 1")
endif()
"""

COMMA = """
LC_NUMERIC
decimal_point ","
thousands_sep "."
grouping 3;3
END LC_NUMERIC
"""

# What stands around the pieces of code in docs/library.md that are no whole program.
AROUND = """
#include <phalanx.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
%s
int main(int argc, char **argv)
{
    struct phalanx_error err;
    struct phalanx_model *model = phalanx_open(argv[argc - 1], NULL, 0, &err);
    %s
    phalanx_close(model);
    return 0;
}
"""


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

    def compile(self, compiler, standard, source, program):
        sanitize = [f"-fsanitize={os.environ['PHALANX_SANITIZED']}"] if SANITIZED else []
        run(compiler, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow",
            "-Werror", *sanitize, source, "-o", program, *self.flags("--cflags", "--libs"), "-lm")

    def build_with_pkg_config(self, folder):
        for name in EXAMPLES:
            source = self.prefix / "share" / "doc" / "phalanx" / "examples" / f"{name}.c"
            self.compile("cc", "c99", source, folder / name)

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
        self.check_rates(run(folder / "rate", DEMO, *PROMPTS, env=self.environment))

    def check_rates(self, told):
        """Perplexities are those that the log-probabilities of the command make."""
        want = {}
        for prompt in PROMPTS:
            result = json.loads(phalanx("generate", DEMO, "-p", prompt, "--max-tokens", "1",
                                        "--prompt-logprobs", "0", "--json").out)[0]
            rows = zip(result["prompt_token_ids"][1:], result["prompt_logprobs"][1:])
            logprobs = [row[str(token)]["logprob"] for token, row in rows]
            want[prompt] = math.exp(-sum(logprobs) / len(logprobs))
        got = re.findall(r"^(\S.*)\n(?:  .*\n)*  perplexity (.*)$", told, re.M)
        self.assertEqual({prompt for prompt, _ in got}, set(PROMPTS))
        for prompt, perplexity in got:
            self.assertAlmostEqual(float(perplexity) / want[prompt], 1, 5)

    def test_examples_built_with_pkg_config_answer_as_the_command_does(self):
        with tempfile.TemporaryDirectory() as folder:
            self.build_with_pkg_config(pathlib.Path(folder))
            self.check_examples(pathlib.Path(folder))

    def test_examples_built_with_cmake_answer_as_the_command_does(self):
        with tempfile.TemporaryDirectory() as folder:
            self.build_with_cmake(pathlib.Path(folder))
            self.check_examples(pathlib.Path(folder))

    def test_cmake_takes_it_where_an_earlier_version_of_the_soname_is_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "CMakeLists.txt").write_text(OTHER_VERSIONS)
            run("cmake", "-S", folder, "-B", folder, f"-DCMAKE_PREFIX_PATH={self.prefix}")

    def test_the_header_is_clean_in_both_languages(self):
        with tempfile.TemporaryDirectory() as folder:
            for compiler, standard, suffix in (("cc", "c99", "c"), ("c++", "c++11", "cpp")):
                source = pathlib.Path(folder) / f"version.{suffix}"
                program = source.with_suffix("")
                source.write_text(BOTH_LANGUAGES)
                self.compile(compiler, standard, source, program)
                number, text = run(program, env=self.environment).split()
                major, minor, patch = map(int, text.split("."))
                self.assertEqual(int(number), 10000 * major + 100 * minor + patch)

    def test_a_program_in_another_language_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "guest"
            self.compile("c++", "c++11", SOURCE / "tests" / "library" / "guest.cpp", program)
            streamed, whole, numbers = run(program, DEMO, env=self.environment).splitlines()
            self.assertEqual(streamed, whole)
            self.assertEqual(numbers, "8 1")

    def test_the_locale_of_the_program_is_its_own_affair(self):
        """With the template of a chat that writes a number; the program prints its own between."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "comma.src").write_text(COMMA)
            if shutil.which("localedef") is not None:
                subprocess.run(["localedef", "-c", "-i", folder / "comma.src", folder / "comma"],
                               capture_output=True, check=False)
            if not (folder / "comma" / "LC_NUMERIC").exists():
                self.skipTest("no locale can be made here")
            model = folder / "model"
            shutil.copytree(DEMO, model)
            (model / "chat_template.jinja").write_text("{{ half }} {{ 1.5 * half }}")
            program = folder / "program"
            self.compile("cc", "c99", SOURCE / "tests" / "library" / "comma.c", program)
            told = run(program, model,
                       env={**self.environment, "LOCPATH": str(folder), "LC_ALL": "comma"})
            self.assertEqual(told.splitlines(), [
                "0,5", "temperature must be in [0, 2], got 2.5", "0.5 0.75", "0,5"])

    def test_the_code_of_the_tutorial_compiles_and_runs(self):
        page = (self.prefix / "share" / "doc" / "phalanx" / "library.md").read_text()
        pieces = re.findall(r"```c\n(.*?)```", page, re.S)
        programs = [piece for piece in pieces if "int main" in piece]
        outside = [piece for piece in pieces if piece.startswith("static")]
        inside = ["{\n" + piece + "}\n" for piece in pieces if piece not in programs + outside]
        self.assertGreater(len(inside), 5)
        programs.append(AROUND % ("".join(outside), "".join(inside)))
        with tempfile.TemporaryDirectory() as folder:
            for number, text in enumerate(programs):
                source = pathlib.Path(folder) / f"{number}.c"
                source.write_text(text)
                self.compile("cc", "gnu99", source, source.with_suffix(""))
                run(source.with_suffix(""), DEMO, env=self.environment, cwd=SOURCE)

    def test_the_names_of_the_header_have_versions_and_no_others_are_seen(self):
        library = self.prefix / "lib" / "libphalanx.so"
        lines = run("nm", "-D", "--defined-only", "--with-symbol-versions", library).splitlines()
        seen = {line.split()[-1] for line in lines} - {"PHALANX_0.1@@PHALANX_0.1", "PHALANX_0.1"}
        if SANITIZED:
            seen = {name for name in seen if name.startswith("phalanx")}
        header = (self.prefix / "include" / "phalanx.h").read_text()
        code = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
        declared = set(re.findall(r"\b(phalanx_\w+)\(", code)) - {"phalanx_text_fn"}
        self.assertIn("phalanx_open", declared)
        self.assertEqual(seen, {f"{name}@@PHALANX_0.1" for name in declared})

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
