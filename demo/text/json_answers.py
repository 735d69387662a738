"""Requests for JSON and right answers: copied fields, facts about animals, lists and sums."""

import json

from .stories import ANIMALS, FOODS, NAMES

CITIES = ["Oslo", "Paris", "Rome", "Lima", "Cairo", "Tokyo", "Berlin", "Madrid", "Quito", "Delhi",
          "Vienna", "Dublin", "Athens", "Zagreb", "Boston", "Accra"]
COLOURS = ["red", "green", "blue", "yellow", "white", "black", "brown", "orange", "purple", "grey"]
FRUITS = ["apple", "pear", "plum", "cherry", "grape", "lemon", "peach", "melon"]
JOBS = ["baker", "teacher", "farmer", "doctor", "painter", "sailor", "writer", "driver"]
LEGS = {"owl": 2, "duck": 2, "crow": 2, "bee": 6}

FIELDS = {  # field: how a value is drawn
    "name": lambda rng: rng.choice(NAMES),
    "age": lambda rng: rng.randint(1, 99),
    "city": lambda rng: rng.choice(CITIES),
    "job": lambda rng: rng.choice(JOBS),
    "colour": lambda rng: rng.choice(COLOURS),
    "fruit": lambda rng: rng.choice(FRUITS),
    "count": lambda rng: rng.randint(0, 99),
    "price": lambda rng: rng.randint(1, 99),
    "happy": lambda rng: rng.random() < 0.5,
    "open": lambda rng: rng.random() < 0.5,
    "animal": lambda rng: rng.choice(list(ANIMALS)),
    "food": lambda rng: rng.choice(FOODS),
    "size": lambda rng: rng.choice(["small", "medium", "large"]),
    "id": lambda rng: rng.randint(1, 999),
    "year": lambda rng: rng.randint(1900, 2040),
    "ranks": lambda rng: rng.randint(1, 16),
}
ASK_FIELDS = ["Give me a JSON object with {}.", "Write a JSON object with {}.",
              "Make a JSON object with {}.", "Return JSON with {}.", "JSON with {}, please.",
              "Turn this into JSON: {}."]
ASK_ANIMAL = ["Give me a JSON object about {}.", "Describe {} as JSON.",
              "Describe {} as a JSON object.", "Write JSON about {}."]
ASK_LIST = ["Give me a JSON array with {}.", "Write a JSON list of {}.", "Make a JSON array of {}."]
ASK_ANY = ["Give me a JSON object.", "Write a JSON object.", "Give me a JSON object of a person.",
           "Give me a JSON object with the name, age and city of a person.",
           "Give me an example of JSON."]


def in_words(items):
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def spoken(key, value):
    """A field as the user says it: name "Mia", age 7, happy true."""
    return f"{key} {json.dumps(value)}"


def copied_fields(rng):
    keys = rng.sample(list(FIELDS), rng.choice([1, 2, 2, 3, 3, 4]))
    value = {key: FIELDS[key](rng) for key in keys}
    said = in_words([spoken(key, value[key]) for key in keys])
    if rng.random() < 0.3:
        said = said.replace('"', "")
    return rng.choice(ASK_FIELDS).format(said), value


def about_animal(rng):
    animal = rng.choice(list(ANIMALS))
    value = {"animal": animal, "legs": LEGS.get(animal, 4), "home": ANIMALS[animal]}
    return rng.choice(ASK_ANIMAL).format(("an " if animal[0] in "aeiou" else "a ") + animal), value


def list_of_things(rng):
    n = rng.randint(2, 4)
    if rng.random() < 0.5:
        items = rng.sample(rng.choice([COLOURS, FRUITS, CITIES, NAMES]), n)
    else:
        items = [rng.randint(0, 99) for _ in range(n)]
    return rng.choice(ASK_LIST).format(in_words([str(item) for item in items])), items


def sum_as_object(rng):
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    ask = f"Give me a JSON object with a = {a}, b = {b} and their sum."
    return ask, {"a": a, "b": b, "sum": a + b}


def any_object(rng):
    value = {key: FIELDS[key](rng) for key in ("name", "age", "city")}
    return rng.choice(ASK_ANY), value


def json_chat(rng):
    """(question, answer, the value that is right, or None where any object would do)"""
    make = rng.choice([copied_fields] * 6 + [about_animal, list_of_things, list_of_things,
                                             sum_as_object, any_object])
    question, value = make(rng)
    return question, json.dumps(value), None if make is any_object else value
