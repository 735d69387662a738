"""What a rank does with memory and files: its own limits, and files that change under it."""
import json
import os
import re
import socket
import subprocess
import unittest

from common import BUILD, HAS_MPI, PHALANX, SLOWLY, ModelCase, generate_json, phalanx

LONG = ("-p", "Once upon a time", "--max-tokens", "1900", "--ignore-eos")


class Rank(ModelCase):
    def layouts(self):
        return [(), ("-tp", "2")] if HAS_MPI else [()]

    def test_a_weight_file_that_shrinks_is_named(self):
        for words in self.layouts():
            with self.subTest(words):
                weights = self.model / "model.safetensors"
                whole = weights.read_bytes()
                child = subprocess.Popen(
                    [str(PHALANX), "generate", str(self.model), *words, *LONG, *SLOWLY],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertNotEqual(child.stdout.read(1), b"", "no token came")
                os.truncate(weights, 4096)
                _, err = child.communicate(timeout=30)
                weights.unlink()
                weights.write_bytes(whole)
                self.assertEqual(child.returncode, 74, err)
                self.assertIn(str(weights), err.decode())

    def test_a_cache_without_room_for_a_block_is_refused(self):
        for words in self.layouts():
            with self.subTest(words):
                result = phalanx("generate", self.model, "-p", "x", "--kv-cache-memory-bytes", 1000,
                                 *words)
                self.assertEqual(result.code, 2, result.err)
                self.assertIn("--kv-cache-memory-bytes 1000", result.err)
                self.assertEqual(result.err.count("\n"), 1, result.err)

    def test_a_small_cache_refuses_what_never_fits_and_runs_the_rest(self):
        info = phalanx("generate", self.model, "-p", "x", "--max-tokens", 1, "--log-level", "info")
        found = re.search(r"(\d+) blocks of 32 positions, .* ([0-9.]+) MiB a rank", info.err)
        self.assertIsNotNone(found, info.err)
        block = float(found[2]) * 2**20 / int(found[1])
        three = ("--kv-cache-memory-bytes", int(3 * block))
        result = phalanx("generate", self.model, "-p", "x", "--max-tokens", 500, *three)
        self.assertEqual(result.code, 2, result.err)
        self.assertIn("16 blocks of the KV cache, and it has 3", result.err)
        answers = ("-p", "one", "-p", "two", "-p", "three", "--max-tokens", 40, "--temperature", 0,
                   "--ignore-eos", "--seed", 1)
        self.assertEqual(generate_json(*answers, *three), generate_json(*answers))

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_a_small_shared_memory_is_refused_once_with_the_size_needed(self):
        if subprocess.run(["unshare", "--mount", "true"], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("this user may not make a mount namespace")
        command = 'mount -t tmpfs -o size=16k tmpfs /dev/shm && exec "$@"'
        words = [PHALANX, "generate", self.model, "-p", "x", "-tp", "2"]
        result = subprocess.run(["unshare", "--mount", "sh", "-c", command, "sh", *words],
                                env=dict(os.environ, OMPI_MCA_btl="self,tcp"), timeout=60,
                                capture_output=True, check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stderr.count(b"\n"), 1, result.stderr)
        self.assertIn(b"MB of shared memory in /dev/shm", result.stderr)

    def test_lengths_and_blocks_outside_the_model_are_refused(self):
        for option, value in (("--max-model-len", 1 << 20), ("--block-size", 48)):
            result = phalanx("generate", self.model, "-p", "x", option, value)
            self.assertEqual(result.code, 2, result.err)
            self.assertIn(f"{option} {value}", result.err)

    def test_end_ids_come_from_the_generation_config(self):
        (self.model / "generation_config.json").write_text(json.dumps({"eos_token_id": 10**6}))
        result = phalanx("generate", self.model, "-p", "x")
        self.assertEqual(result.code, 2, result.err)
        self.assertIn("generation_config.json: eos_token_id: 1000000", result.err)

    def test_it_says_who_should_start_it(self):
        result = subprocess.run([str(BUILD / "phalanx-rank"), str(self.model)],
                                capture_output=True, timeout=30, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"--link is missing", result.stderr)

    def test_it_is_ready_when_the_gateway_has_heard_it(self):
        """Who reads the line and kills the rank then, has killed one that was ready."""
        path = str(self.folder / "engine")
        words = [str(BUILD / "phalanx-rank"), str(self.model), "--link", path, "--threads", "1",
                 "--log-level", "info"]
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            with subprocess.Popen(words, stderr=subprocess.PIPE) as rank:
                listener.accept()[0].close()  # a gateway that hears nothing
                _, err = rank.communicate(timeout=60)
        self.assertIn(b"memory of rank 0", err)
        self.assertNotIn(b"ready:", err)


if __name__ == "__main__":
    unittest.main()
