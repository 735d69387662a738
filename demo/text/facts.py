"""Questions and answers about Phalanx, from facts.txt."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

# Questions for a named subject. Those of UNSEEN are never trained on with any subject.
TEMPLATES = [
    "What is {}?", "What is {}?", "what is {}", "What's {}?", "Explain {}.", "Please explain {}.",
    "Can you explain {}?", "Tell me about {}.", "What does {} mean?", "Define {}.",
    "What do you know about {}?", "I have a question about {}.", "Describe {}.",
    "Can you tell me what {} is?", "Could you explain {} to me?", "How would you explain {}?",
    "I do not understand {}.", "Please tell me about {}.", "What is meant by {}?", "explain {}",
]
UNSEEN = ["In a few words, what is {}?", "Could you please tell me what {} is?",
          "I would like to know about {}."]
CHILD = ["Explain {} to a child.", "Explain {} like I am five.",
         "How do you explain {} to a child?",
         "Explain {} in simple words.", "Tell a child what {} is.", "What is {}, for a child?"]
HELD_OUT_PERCENT = 8


@dataclass
class Fact:
    """One subject: what asks for it, and what is true."""

    terms: list = field(default_factory=list)
    questions: list = field(default_factory=list)
    held_out: list = field(default_factory=list)  # asked only in the evaluation
    answer: str = ""
    more: str = ""
    child: str = ""
    child_questions: list = field(default_factory=list)
    child_held_out: list = field(default_factory=list)

    @property
    def short(self):
        """The first sentence of the answer."""
        return self.answer.split(". ")[0].rstrip(".") + "."


def is_held_out(text):
    """A fixed part of all question texts, chosen by hash so that no run can differ."""
    return hashlib.sha256(text.encode()).digest()[0] < 256 * HELD_OUT_PERCENT // 100


def parse(block):
    """One block of lines -> Fact."""
    fact, own = Fact(), []
    for line in block.strip().splitlines():
        mark, text = line[0], line[2:].strip()
        if mark == "@":
            fact.terms = [term.strip() for term in text.split("|")]
        elif mark == "?":
            own.append(text)
        elif mark == "=":
            fact.answer = text
        elif mark == "+":
            fact.more = text
        elif mark == "c":
            fact.child = text
        else:
            raise ValueError(f"facts.txt: what is {line!r}?")
    if len(own) >= 4:
        fact.held_out.append(own.pop())
    fact.questions = own * 3  # written ones count as much as the many made ones
    for template in TEMPLATES:
        for term in fact.terms:
            question = template.format(term)
            (fact.held_out if is_held_out(question) else fact.questions).append(question)
    for template in CHILD if fact.child else []:
        for term in fact.terms:
            question = template.format(term)
            unseen = is_held_out(question)
            (fact.child_held_out if unseen else fact.child_questions).append(question)
    if fact.child and not fact.child_questions:
        raise ValueError(f"facts.txt: no question for {fact.child!r}")
    return fact


def load_facts():
    text = Path(__file__).with_name("facts.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [parse(block) for block in "\n".join(lines).split("\n\n") if block.strip()]
