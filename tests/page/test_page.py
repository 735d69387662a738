"""The chat page in a real browser: what users do with it, by mouse, keys and narrow screens.

Against the fake server beside it, so that no ranks are needed. PAGE_URL=http://… (and PAGE_KEY)
runs what needs no fault on demand against a real server; test_served.py brings one of its own.
`test_page.py --screenshots FOLDER` makes the pictures of docs/ instead.
"""
import base64
import hashlib
import os
import pathlib
import re
import sys
import time
import unittest

import browser
import fake_server

REAL_URL = os.environ.get("PAGE_URL")
REAL_KEY = os.environ.get("PAGE_KEY")
needs_fake = unittest.skipIf(REAL_URL, "a real server fails and counts in its own way")
LONG = "count 2000"
# The small models of tests soon have nothing more to say.
GO_ON = """window.fetch = ((fetch) => (path, options) => {
    const body = JSON.parse(options.body ?? "null");
    if (body?.messages?.at(-1).content === "%s")
        options = {...options, body: JSON.stringify({...body, ignore_eos: true, max_tokens: 1500})};
    return fetch(path, options);
})(window.fetch)""" % LONG
IDLE = "document.querySelector('#stop').hidden"
LAST = "#log article:last-child"
ANSWER = LAST + " .text"


def setUpModule():
    if browser.find_browser() is None:
        print("SKIP: no Chromium here (Debian's package chromium)")
        sys.exit(77)
    global chromium, server
    chromium = browser.Browser()
    unittest.addModuleCleanup(chromium.close)
    server = fake_server.FakeServer()
    unittest.enterModuleContext(server)


class PageCase(unittest.TestCase):
    def setUp(self):
        server.reset()
        self.page = chromium.open_page()
        self.addCleanup(self.page.close)
        self.page.resize(1200, 800)
        self.open()

    def open(self):
        self.page.open(REAL_URL or server.url)
        if REAL_KEY:
            self.page.wait("!document.querySelector('#key').hidden")
            self.page.type(REAL_KEY)
            self.page.press("Enter")
        if server.key is None:
            self.page.wait("document.querySelector('#layout').textContent !== ''")
        if REAL_KEY:
            self.page.complaints.clear()  # of the browser, about the answers without it

    def begin(self, text):
        """Asks; the answer has begun."""
        self.page.type(text)
        self.page.press("Enter")
        self.page.wait("!" + IDLE)

    def ask(self, text):
        """Asks; the answer is there."""
        n = self.n_messages()
        self.page.type(text)
        self.page.press("Enter")
        self.page.wait(f"{self.MESSAGES} === {n + 2} && {IDLE}", "the answer is there")
        return self.page.text(ANSWER)

    def ask_long(self):
        """An answer that is coming, with some text."""
        if REAL_URL:
            self.page.evaluate(GO_ON)
        server.delay_s = 0.05
        self.begin(LONG)
        self.page.wait(f"document.querySelector('{ANSWER}').innerText.length > 5")

    MESSAGES = "document.querySelectorAll('#log article').length"

    def n_messages(self):
        return self.page.evaluate(self.MESSAGES)

    def set(self, name, value):
        """A field of the settings, and back to the message."""
        if self.page.evaluate("document.querySelector('#settings').hidden"):
            self.page.click("#open-settings")
        self.page.click(f"#sampling [name={name}]")
        self.page.type(value)
        self.page.click("#input")

    def focused(self):
        return self.page.evaluate("document.activeElement.id || document.activeElement.className")


class Chat(PageCase):
    def test_an_answer_streams_in_and_its_speed_is_told(self):
        self.ask_long()
        half = self.page.text(ANSWER)
        self.page.wait(f"document.querySelector('{ANSWER}').innerText.length > {len(half) + 5}")
        self.page.press("Escape")
        self.page.wait(IDLE)
        answer = self.ask("count 20" if not REAL_URL else "The end.")
        self.assertTrue(answer)
        foot = self.page.text(LAST + " .foot")
        self.assertRegex(foot, r"\d+ tokens · \d+\.\d tokens/s · first token after \d+ ms")
        self.assertEqual(self.page.complaints, [])
        if not REAL_URL:
            self.assertEqual(answer.split(), [str(i) for i in range(1, 21)])
            self.assertIn("20 tokens", foot)

    def test_the_request_is_the_conversation_with_the_settings_given_and_no_others(self):
        self.set("system", "Be short.")
        self.set("temperature", "0.5")
        self.set("seed", "7")
        self.ask("echo one")
        self.ask("echo two")
        if REAL_URL:
            return
        self.assertEqual(server.requests[-1], {
            "model": "demo", "stream": True, "stream_options": {"include_usage": True},
            "temperature": 0.5, "seed": 7,
            "messages": [{"role": "system", "content": "Be short."},
                         {"role": "user", "content": "echo one"},
                         {"role": "assistant", "content": "one "},
                         {"role": "user", "content": "echo two"}]})
        self.page.reload()
        self.assertEqual(self.page.evaluate("document.querySelector('[name=seed]').value"), "7")

    def test_a_setting_out_of_range_is_shown_and_nothing_is_sent(self):
        self.set("temperature", "9")
        self.page.type("hello")
        self.page.press("Enter")
        self.assertEqual(self.n_messages(), 0)
        self.assertEqual(self.page.evaluate("document.activeElement.name"), "temperature")

    def test_the_model_is_chosen_from_those_of_the_server(self):
        if REAL_URL:
            self.assertTrue(self.page.text("#model"))
            return
        server.models = ["small", "large"]
        self.page.reload()
        self.page.wait("document.querySelector('#model').options.length === 2")
        self.page.evaluate("document.querySelector('#model').value = 'large'")
        self.page.click("#input")
        self.ask("echo x")
        self.assertEqual(server.requests[-1]["model"], "large")

    def test_stop_ends_the_answer_and_keeps_what_came(self):
        self.ask_long()
        self.page.click("#stop")
        self.page.wait(IDLE)
        self.assertTrue(self.page.text(ANSWER).startswith("1 2" if not REAL_URL else ""))
        self.assertIn("stopped", self.page.text(LAST + " .foot"))
        self.assertEqual(self.focused(), "input")
        self.assertEqual(self.page.text(LAST + " .error"), None)

    @needs_fake
    def test_a_stopped_answer_is_cancelled_at_the_server(self):
        self.ask_long()
        self.page.press("Escape")
        self.page.wait(IDLE)
        end = time.monotonic() + browser.PATIENCE_S
        while server.n_cancelled == 0 and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(server.n_cancelled, 1)

    def test_regenerate_asks_the_same_again(self):
        self.ask("echo again")
        self.page.click(LAST + " .foot button:last-child")
        self.page.wait(f"{IDLE} && document.querySelector('{ANSWER}').innerText !== ''")
        self.assertEqual(self.n_messages(), 2)
        if not REAL_URL:
            self.assertEqual(server.requests[0], server.requests[1])

    def test_the_last_question_can_be_changed(self):
        self.ask("echo one")
        self.ask("echo two")
        self.page.click("#log article:nth-child(3) .foot button:last-child")
        self.assertEqual(self.page.evaluate("document.querySelector('#input').value"), "echo two")
        self.page.press("Escape")
        self.assertEqual(self.page.evaluate("document.querySelector('#input').value"), "")
        self.page.click("#log article:nth-child(3) .foot button:last-child")
        self.page.type(" three")
        self.page.press("Enter")
        self.page.wait(f"{IDLE} && document.querySelector('{ANSWER}').innerText !== ''")
        self.assertEqual(self.n_messages(), 4)
        self.assertEqual(self.page.text("#log article:nth-child(3) .text"), "echo two three")


class History(PageCase):
    def titles(self):
        return self.page.evaluate(
            "[...document.querySelectorAll('#conversations .open')].map((b) => b.innerText)")

    def test_conversations_are_there_after_a_reload_with_their_first_words_as_titles(self):
        first = self.ask("echo the first of them")
        self.page.click("#new")
        second = self.ask("echo and another")
        self.page.reload()
        self.assertEqual(self.titles(), ["echo and another", "echo the first of them"])
        self.assertEqual(self.page.text(ANSWER), second)
        self.page.click("#conversations li:nth-child(2) .open")
        self.assertEqual(self.page.text(ANSWER), first)

    def test_a_reload_in_the_middle_keeps_what_came(self):
        self.ask_long()
        self.page.reload()
        self.assertTrue(self.page.text(ANSWER))
        self.assertIn("stopped", self.page.text(LAST + " .foot"))
        self.page.wait(IDLE)

    def test_a_deleted_conversation_is_gone_unless_that_is_undone(self):
        self.ask("echo keep")
        self.page.click("#new")
        self.ask("echo drop")
        self.page.click("#conversations li:nth-child(1) .delete")
        self.assertEqual(self.titles(), ["echo keep"])
        self.assertEqual(self.n_messages(), 0)
        self.page.click("#notice button")
        self.assertEqual(self.titles(), ["echo drop", "echo keep"])
        self.page.click("#conversations li:nth-child(1) .delete")
        self.page.reload()
        self.assertEqual(self.titles(), ["echo keep"])

    def test_another_conversation_can_be_read_while_an_answer_comes(self):
        self.ask("echo quiet")
        self.page.click("#new")
        self.ask_long()
        self.page.click("#conversations li:nth-child(2) .open")
        self.assertEqual(self.page.text("#log article:first-child .text"), "echo quiet")
        self.page.click("#conversations li:nth-child(1) .open")
        before = len(self.page.text(ANSWER))
        self.page.wait(f"document.querySelector('{ANSWER}').innerText.length > {before}")
        self.page.press("Escape")
        self.page.wait(IDLE)

    def test_storage_that_somebody_spoiled_is_left_alone(self):
        self.page.evaluate("""localStorage["phalanx:conversation:1"] = "{";
            localStorage["phalanx:conversation:2"] = '{"messages": [{"role": "x"}]}';
            localStorage["phalanx:sampling"] = "[";""")
        self.page.reload()
        self.ask("echo fine")
        self.assertEqual(self.titles(), ["echo fine"])
        self.assertEqual(self.page.complaints, [])


class Errors(PageCase):
    def check_error(self, question, message):
        self.ask(question)
        self.assertEqual(self.page.text(LAST + " .error span"), message)
        server.is_repaired = True
        self.page.click(LAST + " .error button")
        self.page.wait(f"{IDLE} && document.querySelector('{LAST} .error') === null")
        self.assertEqual(self.page.text(ANSWER), "here is some text")
        self.assertEqual(self.n_messages(), 2)

    @needs_fake
    def test_an_error_is_shown_in_the_servers_words_and_can_be_retried(self):
        self.check_error("fail 400", "made to fail with 400")

    @needs_fake
    def test_a_full_server_says_when_to_come_back(self):
        self.check_error("fail 429", "made to fail with 429 (worth a try in 7 s)")

    @needs_fake
    def test_an_error_in_the_stream_keeps_what_came_before(self):
        self.ask("break")
        self.assertEqual(self.page.text(ANSWER), "here is some text")
        self.assertEqual(self.page.text(LAST + " .error span"), "a rank was lost")

    @needs_fake
    def test_an_answer_that_was_cut_is_no_whole_answer(self):
        self.check_error("cut", "The connection ended before the answer did.")

    @needs_fake
    def test_a_question_without_an_answer_is_not_sent_again(self):
        self.ask("fail 500")
        self.ask("echo next")
        self.assertEqual(server.requests[-1]["messages"],
                         [{"role": "user", "content": "echo next"}])

    def test_a_prompt_that_is_too_long_is_refused_in_words(self):
        if REAL_URL:
            self.ask("word " * 100000)
            self.assertRegex(self.page.text(LAST + " .error span"), r"context length|too long")

    def test_a_server_that_is_gone_is_named_as_that(self):
        self.page.call("Network.enable")
        self.page.call("Network.emulateNetworkConditions", offline=True, latency=0,
                       downloadThroughput=-1, uploadThroughput=-1)
        self.ask("echo hello")
        self.assertEqual(self.page.text(LAST + " .error span"), "The server cannot be reached.")


class Keys(PageCase):
    def setUp(self):
        super().setUp()
        server.key = "sesame"

    @needs_fake
    def test_a_server_that_wants_a_key_gets_one_and_the_tab_remembers_it(self):
        self.open()
        self.page.wait("document.activeElement.id === 'key-input'")
        self.page.type("sesame")
        self.page.press("Enter")
        self.page.wait("document.querySelector('#model').value === 'demo'")
        self.assertEqual(self.ask("echo in"), "in")
        self.page.reload()
        self.page.wait("document.querySelector('#model').value === 'demo'")
        self.assertNotIn("sesame", self.page.evaluate("JSON.stringify({...localStorage})"))

    @needs_fake
    def test_a_question_that_needed_the_key_is_asked_again_with_it(self):
        self.ask("echo now")
        self.assertEqual(self.page.text(LAST + " .error span"), "Invalid API key")
        self.page.type("wrong")
        self.page.press("Enter")
        self.page.wait("document.activeElement.id === 'key-input'")
        self.page.type("sesame")
        self.page.press("Enter")
        self.page.wait(f"document.querySelector('{ANSWER}').innerText.trim() === 'now'")
        self.assertEqual(self.n_messages(), 2)


class Text(PageCase):
    def html_of(self, text):
        self.page.evaluate("document.body.append(Object.assign(document.createElement('div'), "
                           "{id: 'probe'}))")
        return self.page.evaluate(f"showMarkdown(document.querySelector('#probe'), {text!r}); "
                                  "document.querySelector('#probe').innerHTML")

    def test_markdown_is_what_engineers_expect(self):
        for text, html in (
                ("plain", "<p>plain</p>"),
                ("a\nb\n\nc", "<p>a\nb</p><p>c</p>"),
                ("**bold** and `co**de`", "<p><strong>bold</strong> and <code>co**de</code></p>"),
                ("**a `b`**", "<p><strong>a <code>b</code></strong></p>"),
                ("``a ` b``", "<p><code>a ` b</code></p>"),
                ("2 ** 3 ** 4 and `open", "<p>2 ** 3 ** 4 and `open</p>"),
                ("## Head\ntext", "<h3>Head</h3><p>text</p>"),
                ("- a\n  more\n- b", "<ul><li>a\nmore</li><li>b</li></ul>"),
                ("3. a\n4. b\n\nafter", '<ol start="3"><li>a</li><li>b</li></ol><p>after</p>'),
                ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>")):
            self.assertEqual(self.html_of(text), html, text)

    def test_code_is_shown_as_it_is_also_before_its_end_has_come(self):
        for text in ("```c\nint *a;\n\n# b\n```", "```c\nint *a;\n\n# b"):
            self.assertIn("<code>int *a;\n\n# b</code>", self.html_of(text))
        self.assertIn("<code>```</code>", self.html_of("````\n```\n````"))

    def test_markup_of_a_model_is_text(self):
        evil = "<img src=x onerror=alert(1)><script>alert(1)</script> `<b>` **<i>**"
        html = self.html_of(evil)
        self.assertNotRegex(html, r"<(img|script|b|i)\b")
        self.assertEqual(self.page.text("#probe"), evil.replace("`", "").replace("**", ""))

    def test_a_long_answer_without_sense_is_no_burden(self):
        for text in ("**a " * 20000, "` `` " * 20000, "- " * 20000, "#" * 20000, "```\n" * 20001):
            ms = f"""(() => {{ const from = performance.now();
                showMarkdown(document.createElement("div"), {text!r});
                return performance.now() - from; }})()"""
            self.assertTrue(any(self.page.evaluate(ms) < 2000 for _ in range(3)), text[:10])

    def test_the_policy_of_the_page_allows_exactly_its_own_script_and_style(self):
        page = fake_server.PAGE.read_text()
        for tag in ("style", "script"):
            inside = re.search(f"<{tag}>(.*?)</{tag}>", page, re.S)[1].encode()
            digest = base64.b64encode(hashlib.sha256(inside).digest()).decode()
            self.assertIn(f"{tag}-src 'sha256-{digest}'", page, "index.html has changed")
        self.assertNotRegex(page, r'<[^>]* (style|on\w+)="|https?://(?!www\.w3\.org/2000/svg)')
        self.assertNotRegex(page, r"innerHTML|insertAdjacentHTML|\beval\(|document\.write")


class Layouts(PageCase):
    def assert_fits(self):
        self.assertLessEqual(self.page.evaluate("document.documentElement.scrollWidth"),
                             self.page.evaluate("innerWidth"))
        self.assertEqual(self.page.evaluate("""[...document.querySelectorAll("header *, main *")]
            .filter((node) => !node.closest("pre") && node.getBoundingClientRect().right > innerWidth)
            .map((node) => node.tagName + "." + node.className)"""), [])

    def test_a_narrow_screen_has_all_of_it_and_never_scrolls_sideways(self):
        self.page.resize(320, 600)
        self.ask("echo `" + "x" * 300 + "` " + "y" * 300 + " \n```\n" + "z" * 300 + "\n```\n")
        self.assert_fits()
        self.page.click("#menu")
        self.assertEqual(self.page.evaluate(
            "document.querySelector('#menu').getAttribute('aria-expanded')"), "true")
        self.page.click("#new")
        self.assertEqual(self.n_messages(), 0)
        self.page.click("#open-settings")
        self.assertIn("Temperature", self.page.text("#settings"))
        self.assert_fits()

    def luminances(self, selector):
        """Of the paper and of the text, as WCAG counts them."""
        values = []
        for of, name in (("body", "backgroundColor"), (selector, "color")):
            color = self.page.evaluate(
                f"getComputedStyle(document.querySelector({of!r})).{name}")
            parts = [int(x) / 255 for x in re.findall(r"\d+", color)[:3]]
            linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
            values.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
        return values

    def test_light_and_dark_follow_the_system_and_can_be_read(self):
        self.ask("echo text")
        for scheme in ("light", "dark"):
            self.page.prefer(color_scheme=scheme)
            for selector in (ANSWER, "#hint", LAST + " .foot button"):
                paper, ink = self.luminances(selector)
                self.assertEqual(paper > ink, scheme == "light")
                contrast = (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05)
                self.assertGreater(contrast, 4.5, (scheme, selector))

    def test_nothing_moves_for_who_does_not_want_it(self):
        moves = f"getComputedStyle(document.querySelector('{ANSWER} > :last-child'), '::after').animationName"
        self.ask_long()
        self.assertEqual(self.page.evaluate(moves), "blink")
        self.page.prefer(reduced_motion="reduce")
        self.assertEqual(self.page.evaluate(moves), "none")
        self.page.press("Escape")
        self.page.wait(IDLE)

    def test_the_ranks_are_told(self):
        self.page.wait("document.querySelector('#layout').textContent !== ''")
        self.assertRegex(self.page.text("#layout"), r"^\d+ ranks?: tp \d+ × pp \d+ × dp \d+$")
        if not REAL_URL:
            self.assertEqual(self.page.text("#layout"), "8 ranks: tp 4 × pp 2 × dp 1")
            self.assertEqual(self.page.text("#log .replica").split(), list("01234567"))


class Keyboard(PageCase):
    def test_enter_sends_shift_enter_breaks_the_line_escape_stops(self):
        self.assertEqual(self.focused(), "input")
        self.page.type("count")
        self.page.press("Enter", browser.SHIFT)
        self.page.type("3000")
        self.assertEqual(self.page.evaluate("document.querySelector('#input').value"), "count\n3000")
        self.assertEqual(self.n_messages(), 0)
        self.page.press("Enter")
        self.page.wait(f"{self.MESSAGES} === 2")
        self.page.press("Escape")
        self.page.wait(IDLE)
        self.assertEqual(self.focused(), "input")

    def test_tab_reaches_everything_in_the_order_of_the_page_and_shows_where_it_is(self):
        self.ask("echo hello")
        self.page.click("h1")  # Tab goes on from there
        seen = []
        for _ in range(20):
            self.page.press("Tab")
            seen.append(self.page.evaluate("""(() => { const node = document.activeElement;
                return [node.id || node.className || node.innerText,
                        getComputedStyle(node).outlineStyle, node.closest("#composer") !== null];
            })()"""))
            if seen[-1][0] == "send":
                break
        names = [name for name, _, _ in seen]
        order = ["model", "open-settings", "new", "open", "delete", "log", "input", "send"]
        self.assertEqual([name for name in names if name in order], order)
        for name, outline, in_composer in seen:
            if not (in_composer and name == "input"):  # its frame is what shows it
                self.assertEqual(outline, "solid", name)

    def test_a_conversation_without_a_mouse(self):
        self.ask("echo first")
        for _ in range(8):
            self.page.press("Tab", browser.SHIFT)
            if self.focused() == "new":
                break
        self.page.press("Enter")
        self.assertEqual((self.focused(), self.n_messages()), ("input", 0))
        self.ask("echo second")
        self.assertEqual(self.n_messages(), 2)

    def test_who_listens_is_told_the_answer_once_it_is_whole(self):
        said = "document.querySelector('#announce').textContent"
        self.ask_long()
        self.assertEqual(self.page.evaluate(said), "")
        self.page.press("Escape")
        self.page.wait(IDLE)
        self.assertTrue(self.page.evaluate(said))
        self.assertEqual(self.page.evaluate("""[...document.querySelectorAll(
            "button, input, select, textarea")].filter((node) => !node.innerText.trim() &&
            !node.getAttribute("aria-label") && !node.labels?.length && !node.closest("[hidden]"))
            .length"""), 0)


SHOWN = """echo A tensor-parallel layer needs **one sum** for each row-parallel weight:

1. each rank multiplies its own columns of `down_proj`,
2. the partial results are added in the order of the leaves,
3. every rank goes on with the same bits.

```c
/* The tree does not know how many ranks there are. */
for (int leaf = 0; leaf < n_leaves; leaf++)
    tree_add(sum, leaf, partial[leaf]);
```

So the answer does not depend on the cut."""


def make_screenshots(folder):
    folder.mkdir(parents=True, exist_ok=True)
    setUpModule()
    server.delay_s = 0.02
    for name, size, scheme in (("light", (1000, 700), "light"), ("dark", (1000, 700), "dark"),
                               ("narrow", (390, 760), "light")):
        page = chromium.open_page()
        page.resize(*size)
        page.prefer(color_scheme=scheme)
        page.open(server.url)
        page.wait("document.querySelector('#layout').textContent !== ''")
        for question in ("echo Yes: the same tokens, whatever the layout.", SHOWN):
            page.type(question)
            page.press("Enter")
            page.wait(f"{IDLE} && document.querySelector('{LAST}.assistant') !== null")
        page.evaluate("""for (const [i, text] of ["Is it the same on one rank and on eight?",
            "How can that be?"].entries()) current.messages[2 * i].content = text;
            save(current); show(); scrollDown()""")
        if name == "dark":
            page.click("#open-settings")
        page.screenshot(folder / f"page-{name}.png")
        page.close()
    unittest.doModuleCleanups()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--screenshots"]:
        make_screenshots(pathlib.Path(sys.argv[2]))
    else:
        unittest.main()
