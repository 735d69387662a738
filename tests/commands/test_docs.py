"""What README.md and docs/serving.md tell users to type works, and links lead somewhere."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from common import BUILD, SANITIZED, SOURCE, TIMEOUT_S

sys.path.insert(0, str(SOURCE / "tests" / "serve"))
import serving  # noqa: E402

NEEDS_CURL = unittest.skipUnless(shutil.which("curl"), "curl is not installed")
# What tests do not do: build, and models that are not here.
LEFT_OUT = re.compile(r"\./bootstrap|export PATH|.*~/")


def blocks(path, heading):
    """The shell blocks of a section, each a list of lines."""
    text = (SOURCE / path).read_text()
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S).group(1)
    found = re.findall(r"^```\n(.*?)^```$", section, re.M | re.S)
    return [block.replace("\\\n", " ").splitlines() for block in found]


def shell(script, **environment):
    folder = os.pathsep.join([str(BUILD), os.environ["PATH"]])
    return subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=SOURCE,
                          env={**os.environ, "PATH": folder, **environment},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT_S, check=False)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@unittest.skipIf(SANITIZED, "the same words, whatever the build")
class Readme(unittest.TestCase):
    def check(self, script):
        done = shell(script)
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stderr}")
        return done

    def test_every_line_of_the_five_minutes_works(self):
        lines = [line for block in blocks("README.md", "Five minutes") for line in block
                 if line.startswith(("phalanx ", "echo ", "seq ")) and not LEFT_OUT.match(line)
                 and " serve " not in line]
        self.assertGreater(len(lines), 10)
        for line in lines:
            with self.subTest(line):
                self.assertNotEqual(self.check(line).stdout, "")

    @NEEDS_CURL
    def test_its_server_answers_and_ends(self):
        block = next(block for block in blocks("README.md", "Five minutes")
                     if block[0].startswith("phalanx serve"))
        port = str(free_port())
        script = "\n".join(block).replace(":8000", ":" + port)
        script = script.replace("phalanx serve demo/model", f"phalanx serve demo/model --port {port}")
        script = script.replace("phalanx bench serve",
                                f"phalanx bench serve --base-url http://127.0.0.1:{port}")
        done = self.check(script + "\nwait %1")
        self.assertIn('"id":"demo"', done.stdout)
        self.assertIn("data: [DONE]", done.stdout)
        self.assertIn("50 answered, 0 failed", done.stdout)


class Links(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for path in [SOURCE / "README.md", *sorted((SOURCE / "docs").rglob("*.md"))]:
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
                with self.subTest(path.name, link=link):
                    self.assertTrue((path.parent / link).exists())


@NEEDS_CURL
class Serving(serving.ServerCase):
    WORDS = ("--served-model-name", "demo", "--disable-log-requests")

    def test_every_question_with_curl_is_answered(self):
        text = (SOURCE / "docs" / "serving.md").read_text()
        lines = re.findall(r"^(curl .*\$U/.*)$", text, re.M)
        lines = [re.sub(r"  +# .*", "", line) for line in lines if "Bearer" not in line]
        self.assertGreater(len(lines), 15)
        with tempfile.TemporaryDirectory() as folder:
            for line in lines:
                with self.subTest(line):
                    ask = line.replace("curl ", f"curl -s -o {folder}/body -w '%{{http_code}}' ", 1)
                    wanted = "408" if "deadline_ms" in line else "200"
                    self.assertEqual(shell(ask, U=self.server.url).stdout, wanted)


if __name__ == "__main__":
    unittest.main(verbosity=2)
