"""Words to say again.

To copy what stands earlier is what the other kinds need too: the hero's name, the digits of a sum,
the fields of an object. Random words cannot be guessed, so here nothing but copying helps.
"""

from .stories import ANIMALS, FOODS, NAMES, SEEDS, SKILLS, SPOTS, THINGS

WORDS = [*ANIMALS, *FOODS, *NAMES, *SEEDS, *SKILLS, *SPOTS, *THINGS]
ASK = ["Repeat: {}", "Repeat after me: {}", "Say: {}", "Copy this: {}", "Write this again: {}",
       "Say the same: {}"]
ASK_TIMES = ["Say this {} times: {}", "Repeat {} times: {}", "Write this {} times: {}"]
TIMES = ["two", "three", "four", "five"]


def some_words(rng):
    return rng.choice([", ", " ", " and "]).join(rng.choices(WORDS, k=rng.randint(2, 12)))


def some_digits(rng):
    n = rng.randint(2, 16)
    return rng.choice([" ", "", ", "]).join(str(rng.randint(0, 9)) for _ in range(n))


def some_letters(rng):
    return rng.choice(["", " ", "-"]).join(rng.choices("abcdefghijklmnopqrstuvwxyz",
                                                       k=rng.randint(2, 10)))


def repeat_chat(rng):
    """(question, answer): the answer is what the question asks to repeat."""
    text = rng.choice([some_words, some_words, some_digits, some_letters])(rng)
    if rng.random() < 0.5:
        return rng.choice(ASK).format(text), text
    n = rng.randrange(len(TIMES))
    return rng.choice(ASK_TIMES).format(TIMES[n], text), "\n".join([text] * (n + 2))
