"""What users get wrong, and what files bring: exit 2 at once, one line that names the thing."""
import json
import os
import struct
import subprocess
import unittest

from common import DEMO, HAS_MPI, PHALANX, SANITIZED, ModelCase, phalanx, least_of

BOUND_S = 20 if SANITIZED else 1
BOUND_KB = 100 * 1024


class Mistakes(ModelCase):
    def refused(self, *words, names, model=None):
        """The command ends with 2 and one line with each of `names`, in time and memory."""
        said = []

        def run():
            result = phalanx("generate", self.model if model is None else model, "-p", "x", *words)
            self.assertEqual(result.code, 2, result.out + result.err)
            self.assertEqual(result.out, "")
            self.assertEqual(len(result.err.strip().splitlines()), 1, result.err)
            for name in names:
                self.assertIn(name, result.err)
            if not SANITIZED:
                self.assertLess(result.peak_kb, BOUND_KB)
            said.append(result.err)
            return result.seconds
        self.assertLess(least_of(run, BOUND_S), BOUND_S)
        return said[-1]

    def test_options_are_checked(self):
        for words, code in ((["frobnicate"], 2), ([], 2), (["generate", DEMO], 2),
                            (["generate", DEMO, "-p", "x", "--tempertaure", "1"], 2),
                            (["--help"], 0), (["generate", "--help"], 0), (["--version"], 0)):
            self.assertEqual(phalanx(*words).code, code, words)

    def test_a_model_that_is_not_there(self):
        self.refused(model="/no/such/folder", names=["/no/such/folder", "no such folder"])
        self.refused(model=self.model / "config.json", names=["is a file"])
        self.refused(model=self.folder, names=["config.json is missing"])
        self.refused(model="", names=["MODEL"])

    def test_sizes_that_the_model_cannot_take(self):
        for option, size, nearest in (("-tp", "9", "8"), ("-pp", "5", "4")):
            message = self.refused(option, size, names=[size, f"nearest size is {nearest}"])
            self.assertNotIn("mpirun", message)

    def test_config_json(self):
        for changes, name in (({"num_hidden_layers": 1 << 40}, "num_hidden_layers"),
                              ({"hidden_size": -1}, "hidden_size"),
                              ({"hidden_size": "big"}, "hidden_size"),
                              ({"num_attention_heads": 0}, "num_attention_heads"),
                              ({"architectures": ["GPT9ForCausalLM"]}, "GPT9ForCausalLM"),
                              ({"hidden_act": "gelu"}, "hidden_act"),
                              ({"rope_scaling": {"rope_type": "spiral"}}, "spiral")):
            with self.subTest(changes):
                before = (self.model / "config.json").read_text()
                self.edit_config(**changes)
                self.refused(names=["config.json", name])
                (self.model / "config.json").write_text(before)
        (self.model / "config.json").write_text('{"hidden_size": ')
        self.refused(names=["config.json"])
        (self.model / "config.json").write_text("[" * 100000)
        self.refused(names=["config.json"])

    def test_safetensors_cut_at_any_point(self):
        path = self.model / "model.safetensors"
        whole = path.read_bytes()
        for size in (0, 7, 8, 9, 100, 5000, len(whole) // 2, len(whole) - 1):
            with self.subTest(size):
                path.write_bytes(whole[:size])
                self.refused(names=["model.safetensors"])

    def test_safetensors_headers_that_lie(self):
        path = self.model / "model.safetensors"
        whole = path.read_bytes()
        for length in (0, 1, len(whole), 1 << 40, 1 << 63, (1 << 64) - 1):
            with self.subTest(length):
                path.write_bytes(struct.pack("<Q", length) + whole[8:])
                self.refused(names=["model.safetensors"])

    def test_tensors_that_do_not_fit_the_model(self):
        header, data = self.read_tensors()
        name = "model.layers.1.mlp.up_proj.weight"
        size = header[name]["data_offsets"][1] - header[name]["data_offsets"][0]
        cases = {
            "wrong dtype": lambda h: h[name].update(dtype="I8"),
            "wrong shape": lambda h: h[name].update(shape=h[name]["shape"][::-1]),
            "shape that overflows": lambda h: h[name].update(shape=[1 << 62, 1 << 62]),
            "negative shape": lambda h: h[name].update(shape=[-1, 5]),
            "offsets outside": lambda h: h[name].update(data_offsets=[1 << 40, (1 << 40) + size]),
            "offsets that cross": lambda h: h[name].update(data_offsets=[size, 0]),
            "overlap": lambda h: h[name].update(
                data_offsets=h["model.layers.1.mlp.gate_proj.weight"]["data_offsets"]),
        }
        for case, change in cases.items():
            with self.subTest(case):
                changed = json.loads(json.dumps(header))
                change(changed)
                self.write_tensors(changed, data)
                self.refused(names=[name])

    def test_all_problems_of_the_tensors_are_listed_at_once(self):
        self.drop_tensors("model.layers.0.self_attn.q_proj.weight",
                          "model.layers.2.self_attn.q_proj.weight")
        message = self.refused(names=["layers.0.self_attn.q_proj", "layers.2.self_attn.q_proj"])
        self.assertNotIn("layers.1.self_attn.q_proj", message)

    def test_bytes_that_belong_to_no_tensor(self):
        header, data = self.read_tensors()
        header.pop("model.layers.1.mlp.up_proj.weight")
        self.write_tensors(header, data)
        self.refused(names=["model.safetensors", "belong to no tensor"])

    def test_an_index_that_points_outside(self):
        (self.model / "model.safetensors").rename(self.folder / "outside.safetensors")
        header, _ = (lambda raw: (json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")]), 0))(
            (self.folder / "outside.safetensors").read_bytes())
        index = {"metadata": {}, "weight_map": {k: "../outside.safetensors" for k in header
                                                if k != "__metadata__"}}
        (self.model / "model.safetensors.index.json").write_text(json.dumps(index))
        self.refused(names=["model.safetensors.index.json", "../outside.safetensors"])

    def test_a_pickle_checkpoint_says_how_to_convert(self):
        (self.model / "model.safetensors").unlink()
        (self.model / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
        self.refused(names=["pytorch_model.bin", "convert"])

    def test_no_weights_at_all(self):
        (self.model / "model.safetensors").unlink()
        self.refused(names=["model.safetensors"])

    def test_tokenizer_json(self):
        path = self.model / "tokenizer.json"
        whole = path.read_text()
        for text in ("", whole[:len(whole) // 2], "[]", '{"model": {"type": "BPE"}}',
                     whole.replace('"BPE"', '"Unheard"')):
            with self.subTest(text[:40]):
                path.write_text(text)
                self.refused(names=["tokenizer.json"])

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_several_ranks_say_it_once(self):
        path = self.model / "model.safetensors"
        path.write_bytes(path.read_bytes()[:5000])
        result = phalanx("generate", self.model, "-p", "x", "-tp", 2)
        self.assertEqual(result.code, 2, result.err)
        self.assertEqual(result.err.count("model.safetensors"), 1, result.err)

    def test_an_error_is_one_line_whatever_the_file_says(self):
        self.edit_config(architectures=["\x1b[2J\nphalanx: all is well"])
        message = self.refused(names=["config.json", "\\x1b[2J\\nphalanx"])
        self.assertNotIn("\x1b", message)

    def test_standard_input_that_cannot_be_read_is_an_error_of_input(self):
        done = subprocess.run([str(PHALANX), "generate", str(self.model), "-p", "-"],
                              stdin=os.open("/", os.O_RDONLY), capture_output=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 74)
        self.assertIn(b"standard input: Is a directory", done.stderr)

    def test_prompts_are_checked(self):
        self.refused("--prompt-ids", "1,99999", names=["99999", "2047"])
        self.refused("--prompt-ids", "1,x", names=["--prompt-ids"])
        message = self.refused("--stop-token-ids", "99999", names=["--stop-token-ids", "99999"])
        self.assertNotIn("prompt", message)
        self.refused("--stop", "", names=["--stop"])
        self.refused("--stop", b"\xc3", names=["--stop", "UTF-8"])
        self.refused("--n", "2", "--temperature", "0", names=["--n"])
        result = phalanx("generate", self.model, "-p", "long " * 5000)
        self.assertEqual(result.code, 2)
        self.assertIn("2048", result.err)


if __name__ == "__main__":
    unittest.main()
