"""Small arithmetic, worked digit by digit from the ones, as on paper.

The steps come before the result, so that each token follows from a few tokens before it: a model
of this size can learn the steps, and could not learn the results alone.
"""

import hashlib

PLACES = ["Ones", "Tens", "Hundreds"]
ASK_SUM = ["What is {a} + {b}?", "What is {a} + {b}?", "{a} + {b} = ?", "{a} + {b}",
           "How much is {a} plus {b}?", "Add {a} and {b}.", "Calculate {a} + {b}.",
           "what is {a} plus {b}"]
ASK_DIFFERENCE = ["What is {a} - {b}?", "What is {a} - {b}?", "{a} - {b} = ?", "{a} - {b}",
                  "How much is {a} minus {b}?", "Subtract {b} from {a}.", "Calculate {a} - {b}.",
                  "what is {a} minus {b}"]
ASK_PRODUCT = ["What is {a} x {b}?", "What is {a} * {b}?", "{a} x {b} = ?",
               "How much is {a} times {b}?", "Multiply {a} by {b}.", "what is {a} times {b}"]
HELD_OUT_PERCENT = 5


def is_held_out(a, b, sign):
    """A fixed twentieth of all sums, differences and products is only asked in the evaluation."""
    return hashlib.sha256(f"{a}{sign}{b}".encode()).digest()[0] < 256 * HELD_OUT_PERCENT // 100


def digits_of(n):
    """Digits from the ones upwards."""
    return [int(digit) for digit in reversed(str(n))]


def add_in_steps(a, b):
    steps, carry, upper, lower = [], 0, digits_of(a), digits_of(b)
    for i in range(max(len(upper), len(lower))):
        terms = [digits[i] for digits in (upper, lower) if i < len(digits)] + [1] * carry
        total = sum(terms)
        shown = " + ".join(map(str, terms)) + f" = {total}" if len(terms) > 1 else str(total)
        carry = int(total > 9)
        end = f", write {total - 10}, carry 1." if carry else "."
        steps.append(f"{PLACES[i]}: {shown}{end}")
    return " ".join(steps) + f" So {a} + {b} = {a + b}."


def subtract_in_steps(a, b):
    """Borrowing takes ten from the next place; a negative result is turned round."""
    if a < b:
        steps = subtract_in_steps(b, a).split(" So ")[0]
        return f"{a} is smaller than {b}, so turn them round. {steps} So {a} - {b} = {a - b}."
    steps, borrowed, upper, lower = [], 0, digits_of(a), digits_of(b)
    for i, digit in enumerate(upper):
        take = (lower[i] if i < len(lower) else 0) + borrowed
        borrow = int(digit < take)
        shown = f"{digit + 10 * borrow} - {take} = {digit + 10 * borrow - take}"
        steps.append(f"{PLACES[i]}: " + (f"borrow 10, {shown}." if borrow else f"{shown}."))
        borrowed = borrow
    return " ".join(steps) + f" So {a} - {b} = {a - b}."


def sample(rng):
    """Two numbers and a sign; all lengths of numbers are equally frequent."""
    sign = rng.choice("++--x")
    if sign == "x":
        return rng.randint(0, 12), rng.randint(0, 12), sign
    a, b = (rng.randint(0, 10 ** rng.randint(1, 3) - 1) for _ in range(2))
    if sign == "-" and a < b and rng.random() < 0.8:  # most differences are not negative
        a, b = b, a
    return a, b, sign


def problem(rng, held_out=False):
    """(question, answer, the result as text), from the training or the held-out part."""
    a, b, sign = sample(rng)
    while is_held_out(a, b, sign) != held_out:
        a, b, sign = sample(rng)
    if sign == "+":
        ask, answer, result = ASK_SUM, add_in_steps(a, b), a + b
    elif sign == "-":
        ask, answer, result = ASK_DIFFERENCE, subtract_in_steps(a, b), a - b
    else:
        ask, answer, result = ASK_PRODUCT, f"{a} x {b} = {a * b}.", a * b
    return rng.choice(ask).format(a=a, b=b), answer, str(result)
