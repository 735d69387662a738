"""The stream of training documents: which kinds, how often, and in which form."""

import random

from . import arithmetic
from .facts import load_facts
from .json_answers import CITIES, json_chat
from .repeat import repeat_chat
from .stories import FOODS, NAMES, THINGS, story, story_chat

BEGIN, END = "<|begin_of_text|>", "<|end_of_text|>"
IM_START, IM_END, PAD = "<|im_start|>", "<|im_end|>", "<|pad|>"
SPECIAL = [BEGIN, END, IM_START, IM_END, PAD]

KINDS = {  # kind: percent of the characters
    "story": 12, "story_chat": 10, "facts": 32, "arithmetic": 20, "json": 14, "repeat": 12,
}

SYSTEM = ["You are a helpful assistant.", "You are Phalanx, a helpful assistant.",
          "You are the demo model of Phalanx.", "Answer the question.", "You are kind and clear."]
SYSTEM_SHORT = ["Answer in one sentence.", "Be brief.", "Give short answers."]
BEFORE = ["Hi! ", "Hello! ", "Hello, ", "A question: ", "Please help me. ", "Quick question: "]
MORE = ["Tell me more.", "More, please.", "Can you say more?", "And what else?"]
SMALL_TALK = [
    (["Hello!", "Hi!", "Hello", "hi", "Good morning!", "Hey there!"],
     "Hello! Ask me about Phalanx, or ask for a short story."),
    (["Thank you!", "Thanks!", "Thanks a lot.", "thank you"], "You are welcome!"),
    (["Goodbye!", "Bye!", "See you later.", "bye"], "Goodbye!"),
    (["How are you?", "How do you do?"], "I am a small model, and I am ready to help."),
]
UNKNOWN = ["What is the capital of {country}?", "Who is {name}?", "Who was the king of {country}?",
           "How is the weather in {city}?", "Write a poem about {thing}.", "Write a song.",
           "Translate this to French.", "Write a program in {language}.", "How old is the earth?",
           "What is the news today?", "How do I cook {food}?", "Where is {city}?",
           "What is the meaning of life?", "Who won the game?", "What time is it?",
           "How far is the moon?", "How many people live in {country}?", "Do you like {food}?"]
UNKNOWN_SLOTS = {
    "country": ["France", "Spain", "Italy", "China", "India", "Peru", "Egypt", "Germany"],
    "language": ["Python", "Java", "C", "Rust"],
    "name": NAMES, "city": CITIES, "thing": THINGS, "food": FOODS,
}
NOT_KNOWN = ("I do not know that. I am a very small model, and I know only short stories, Phalanx, "
             "small sums and JSON.")
FACTS = load_facts()
# Subjects that visitors ask for first are seen more often.
WEIGHTS = [3 if {"tensor parallelism", "Phalanx"} & set(fact.terms) else 1 for fact in FACTS]


def chat(turns, system=None):
    """[(question, answer), …] in the form of the chat template, with the end of the document."""
    text = BEGIN + (f"{IM_START}system\n{system}{IM_END}\n" if system else "")
    for question, answer in turns:
        text += f"{IM_START}user\n{question}{IM_END}\n{IM_START}assistant\n{answer}{IM_END}\n"
    return text + END


def spoken(rng, question):
    """The question as people write it: sometimes with a greeting or without its last mark."""
    if rng.random() < 0.1:
        question = rng.choice(BEFORE) + question
    if rng.random() < 0.1:
        question = question.rstrip("?.")
    return question


def fact_turns(rng, short):
    """One question about Phalanx and its answer; sometimes more about it, or for a child."""
    fact = rng.choices(FACTS, WEIGHTS)[0]
    if fact.child and not short and rng.random() < 0.3:
        return [(spoken(rng, rng.choice(fact.child_questions)), fact.child)]
    turns = [(spoken(rng, rng.choice(fact.questions)), fact.short if short else fact.answer)]
    if fact.more and not short and rng.random() < 0.5:
        turns.append((rng.choice(MORE), fact.more))
    return turns


def small_talk(rng):
    questions, answer = rng.choice(SMALL_TALK)
    return [(rng.choice(questions), answer)]


def unknown(rng):
    slots = {slot: rng.choice(values) for slot, values in UNKNOWN_SLOTS.items()}
    return [(rng.choice(UNKNOWN).format(**slots), NOT_KNOWN)]


def fact_document(rng):
    draw = rng.random()
    if rng.random() < 0.05:
        return chat(unknown(rng), rng.choice(SYSTEM + [None] * 8))
    short = rng.random() < 0.1
    turns = fact_turns(rng, short)
    if draw < 0.12 and not short:  # without the template, for plain completion
        question, answer = turns[0]
        form = rng.choice(["Question: {}\nAnswer: {}", "{}\n{}", "{} {}"])
        return BEGIN + form.format(question, answer) + END
    if draw < 0.4:
        turns += fact_turns(rng, short)
    if draw > 0.9:
        turns = small_talk(rng) + turns
    elif draw > 0.8:
        turns += small_talk(rng)
    system = rng.choice(SYSTEM_SHORT) if short else rng.choice(SYSTEM + [None] * 8)
    return chat(turns, system)


def pairs_document(rng, make):
    """One to three short questions of one kind in one chat."""
    turns = [make(rng)[:2] for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    return chat(turns, rng.choice(SYSTEM + [None] * 15))


def document(rng, kind):
    """One document of this kind, special tokens spelled out."""
    if kind == "story":
        return BEGIN + story(rng) + END
    if kind == "story_chat":
        return chat([story_chat(rng)], rng.choice(SYSTEM + [None] * 10))
    if kind == "facts":
        return fact_document(rng)
    makers = {"arithmetic": arithmetic.problem, "json": json_chat, "repeat": repeat_chat}
    return pairs_document(rng, makers[kind])


def documents(seed, sizes, shares=KINDS):
    """Yield (kind, document) without end, such that characters have these shares.

    `sizes` maps each kind to its mean number of characters, since short kinds must come more often.
    """
    rng = random.Random(seed)
    kinds = list(shares)
    weights = [shares[kind] / sizes[kind] for kind in kinds]
    while True:
        kind = rng.choices(kinds, weights)[0]
        yield kind, document(rng, kind)


def mean_sizes(seed=0, n=300):
    """Mean characters of a document of each kind."""
    rng = random.Random(seed)
    return {kind: sum(len(document(rng, kind)) for _ in range(n)) / n for kind in KINDS}
