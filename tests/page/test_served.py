"""The chat page as `phalanx serve` has it: the demo model on ranks of its own, behind a key.

Only what depends on the server: test_page.py has the rest, without one. What the model says is its
own business; here it counts that it comes, stops, and is there after a reload.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "serve"))
import serving  # noqa: E402  (needs PHALANX_BUILD, as CTest sets it)
import test_page  # noqa: E402
from test_page import IDLE, LAST  # noqa: E402

KEY = "open-sesame"
N_RANKS = 2 if serving.HAS_MPI else 1
SHARED = (
    "test_an_answer_streams_in_and_its_speed_is_told",
    "test_the_model_is_chosen_from_those_of_the_server",
    "test_stop_ends_the_answer_and_keeps_what_came",
    "test_conversations_are_there_after_a_reload_with_their_first_words_as_titles",
    "test_a_reload_in_the_middle_keeps_what_came",
    "test_a_prompt_that_is_too_long_is_refused_in_words",
)
OWN = (
    "test_all_ranks_are_shown",
    "test_an_answer_that_was_stopped_is_computed_no_further",
    "test_a_key_that_is_wrong_is_asked_for_again",
    "test_the_page_outlives_its_server_and_says_so",  # the last one: it ends the server
)


def setUpModule():
    test_page.setUpModule()
    global server
    # so slowly that an answer is still coming when it is stopped
    server = serving.Server("-tp", N_RANKS, "--api-key", KEY, *serving.SLOWLY)
    unittest.addModuleCleanup(server.stop)
    test_page.REAL_URL, test_page.REAL_KEY = server.url, KEY


class Served(test_page.Chat, test_page.History, test_page.Errors):
    def running(self):
        return server.metric("phalanx_num_requests_running",
                             headers={"Authorization": f"Bearer {KEY}"}) > 0

    def test_all_ranks_are_shown(self):
        self.assertEqual(self.page.text("#layout"),
                         f"{N_RANKS} rank{'s' * (N_RANKS > 1)}: tp {N_RANKS} × pp 1 × dp 1")

    def test_an_answer_that_was_stopped_is_computed_no_further(self):
        self.ask_long()
        self.assertTrue(self.running())
        self.page.press("Escape")
        self.page.wait(IDLE)
        self.assertTrue(serving.wait_for(lambda: not self.running(), 5))

    def test_a_key_that_is_wrong_is_asked_for_again(self):
        self.page.evaluate("sessionStorage.clear()")
        self.page.reload()
        for key, is_right in (("not-" + KEY, False), (KEY, True)):
            self.page.wait("document.activeElement.id === 'key-input'")
            self.page.type(key)
            self.page.press("Enter")
            self.page.wait(f"document.querySelector('#key').hidden === {str(is_right).lower()}")
        self.page.wait("document.querySelector('#layout').textContent !== ''")

    def test_the_page_outlives_its_server_and_says_so(self):
        answer = self.ask("Hello")
        self.assertEqual(server.stop(), 0, server.err)
        self.page.type("Are you there?")
        self.page.press("Enter")
        self.page.wait(f"document.querySelector('{LAST} .error') !== null")
        self.assertEqual(self.page.text(LAST + " .error span"), "The server cannot be reached.")
        self.assertEqual(self.page.text("#log article:nth-child(2) .text"), answer)


def load_tests(_loader, _tests, _pattern):
    return unittest.TestSuite(map(Served, SHARED + OWN))


if __name__ == "__main__":
    unittest.main()
