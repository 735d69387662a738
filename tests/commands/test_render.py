"""phalanx render: what a chat template makes, as transformers and jinja2 make it."""
import json
import pathlib
import tempfile
import unittest

from common import DEMO, SOURCE, ModelCase, phalanx

DATA = SOURCE.parent / "shared" / "data" / "chat-templates"
HELLO = [{"role": "user", "content": "Hello"}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]


def lines(values):
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def renders(model, *values, words=()):
    result = phalanx("render", model, *words, stdin=lines(values))
    if result.code != 0:
        raise AssertionError(f"exit {result.code}: {result.err}")
    return [json.loads(line) for line in result.out.split("\n")[:-1]]


class Render(ModelCase):
    def refused(self, model, stdin, *names, words=()):
        result = phalanx("render", model, *words, stdin=stdin)
        self.assertEqual(result.code, 2, result.out + result.err)
        self.assertEqual(len(result.err.splitlines()), 1, result.err)
        for name in names:
            self.assertIn(name, result.err)
        return result.out

    def template(self, text, name="t.jinja"):
        path = self.folder / name
        path.write_text(text)
        return path

    def test_the_demo_model(self):
        made = renders(DEMO, {"messages": HELLO}, {"messages": HELLO, "add_generation_prompt": True})
        begin = "<|begin_of_text|><|im_start|>user\nHello<|im_end|>\n"
        self.assertEqual(made, [begin, begin + "<|im_start|>assistant\n"])

    def test_a_message_can_be_left_open(self):
        open_one = HELLO + [{"role": "assistant", "content": "Sure, "}]
        made = renders(DEMO, {"messages": open_one, "continue_final_message": True})
        self.assertTrue(made[0].endswith("<|im_start|>assistant\nSure, "))
        both = {"messages": open_one, "continue_final_message": True,
                "add_generation_prompt": True}
        self.refused(DEMO, lines([both]), "line 1", "exclude each other")

    def test_variables_win_over_special_tokens(self):
        made = renders(DEMO, {"messages": HELLO, "bos_token": "A"},
                       {"messages": HELLO, "bos_token": "A",
                        "chat_template_kwargs": {"bos_token": "B"}})
        self.assertEqual([text[0] for text in made], ["A", "B"])

    def test_a_file_sees_the_object_and_nothing_else(self):
        path = self.template("{{ bos_token }}|{{ messages is defined }}|{{ x }}|"
                             "{{ add_generation_prompt is defined }}|{{ tools is defined }}")
        self.assertEqual(renders(path, {"x": "y"}, {"messages": [], "bos_token": "<s>"}),
                         ["|False|y|False|False", "<s>|True||False|False"])

    def test_a_template_file_for_a_model_has_its_tokens(self):
        path = self.template("{{ bos_token }}|{{ tools is none }}|{{ documents is none }}|"
                             "{{ add_generation_prompt }}")
        self.assertEqual(renders(DEMO, {"messages": HELLO}, words=("--chat-template", path)),
                         ["<|begin_of_text|>|True|True|False"])

    def test_contents_are_given_as_they_are_unless_asked(self):
        path = self.template("{% for m in messages %}{{ m.content is string }} "
                             "{{ m.content | length }}{% endfor %}")
        words = ("--chat-template", path)
        self.assertEqual(renders(DEMO, {"messages": PARTS}, words=words), ["False 2"])
        for form, want in (("string", "True 3"), ("openai", "False 2"), ("auto", "True 3")):
            made = renders(DEMO, {"messages": PARTS},
                           words=(*words, "--chat-template-content-format", form))
            self.assertEqual(made, [want], form)
        path.write_text("{% for m in messages %}{% for p in m.content %}<{{ p.text }}>"
                        "{% endfor %}{% endfor %}")
        made = renders(DEMO, {"messages": PARTS + HELLO},
                       words=(*words, "--chat-template-content-format", "auto"))
        self.assertEqual(made, ["<a><b><Hello>"])

    def test_the_time_can_be_set(self):
        path = self.template("{{ strftime_now('%Y-%m-%d %H:%M:%S') }}")
        for now, want in (("2024-07-26 12:34:56", "2024-07-26 12:34:56"),
                          ("2024-02-29T01:02:03", "2024-02-29 01:02:03"),
                          ("2024-07-26", "2024-07-26 00:00:00")):
            self.assertEqual(renders(path, {}, words=("--now", now)), [want])
        self.assertRegex(renders(path, {})[0], r"^20\d\d-")
        for now in ("", "now", "2023-02-29", "2024-13-01", "2024-7-26", "2024-07-26 24:00:00",
                    "2024-07-26 12:34", "2024-07-26 12:34:56Z", "0000-01-01"):
            self.refused(path, b"{}\n", "--now", "is no time", words=("--now", now))

    def test_a_wrong_line_is_named_and_those_before_it_are_answered(self):
        good = lines([{"messages": HELLO}])
        for line, what in ((b"[1]\n", "not an object"), (b"{\n", "line 2"),
                           (b"{}\n", "no messages"), (b'{"messages": []}\n', "there is none"),
                           (b'{"messages": [1]}\n', "item 0 is no object"),
                           (b'{"messages": [{}], "tools": 1}\n', "tools is no list"),
                           (b'{"messages": [{}], "add_generation_prompt": 1}\n',
                            "add_generation_prompt"),
                           (b'{"messages": [{}], "chat_template_kwargs": 1}\n', "kwargs")):
            out = self.refused(DEMO, good + line, "line 2 of the input", what)
            self.assertEqual(len(out.splitlines()), 1)

    def test_errors_of_templates(self):
        self.refused(self.template("a\n{% if %}"), b"{}\n", "t.jinja", "TemplateSyntaxError")
        self.refused(self.template("{{ raise_exception('no such role') }}"), b"{}\n", "line 1",
                     "no such role")
        self.refused(self.template("{{ 'a' * 1000000000 }}"), b"{}\n", "line 1", "memory")
        self.refused(self.folder / "none.jinja", b"{}\n", "none.jinja")
        self.refused(self.folder, b"{}\n", "no chat template")
        self.refused("/no/such/folder", b"{}\n", "no such folder")
        self.refused(self.template("x"), b"", "template already",
                     words=("--chat-template", self.template("y", "u.jinja")))

    def test_templates_by_name(self):
        config = {"chat_template": [{"name": "rag", "template": "R"},
                                    {"name": "tool_use", "template": "T"}]}
        path = self.model / "tokenizer_config.json"
        path.write_text(json.dumps(config))
        self.assertEqual(renders(self.model, {"messages": HELLO, "tools": []}), ["T"])
        self.refused(self.model, lines([{"messages": HELLO}]), "rag, tool_use")
        (self.model / "chat_template.jinja").write_text("J")
        self.assertEqual(renders(self.model, {"messages": HELLO, "tools": []}), ["J"])


@unittest.skipUnless(DATA.exists(), "../shared/data/chat-templates is not here")
class RealTemplates(unittest.TestCase):
    def test_every_render_is_that_of_jinja2(self):
        templates = json.loads((DATA / "templates.json").read_text())
        contexts = json.loads((DATA / "contexts.json").read_text())
        wanted = {}
        for line in (DATA / "renders.jsonl").read_text().splitlines():
            case = json.loads(line)
            wanted.setdefault(case["template"], []).append(case)
        wrong = []
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "t.jinja")
            for name, cases in wanted.items():
                path.write_text(templates[name], newline="")
                good = [case for case in cases if "expected" in case]
                try:
                    made = renders(path, *(contexts[case["context"]] for case in good),
                                   words=("--now", "2024-07-26 12:34:56"))
                except AssertionError as error:
                    wrong.append((name, str(error)))
                    continue
                wrong += [(name, case["context"]) for case, text in zip(good, made)
                          if text != case["expected"]]
        self.assertEqual(wrong, [])

    def test_where_jinja2_fails_so_do_we(self):
        templates = json.loads((DATA / "templates.json").read_text())
        contexts = json.loads((DATA / "contexts.json").read_text())
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "t.jinja")
            for line in (DATA / "renders.jsonl").read_text().splitlines():
                case = json.loads(line)
                if "error" not in case:
                    continue
                path.write_text(templates[case["template"]], newline="")
                result = phalanx("render", path, "--now", "2024-07-26 12:34:56",
                                 stdin=lines([contexts[case["context"]]]))
                with self.subTest(case["template"], context=case["context"]):
                    self.assertEqual(result.code, 2, result.out)
                    self.assertIn(case["error"], result.err)


if __name__ == "__main__":
    unittest.main()
