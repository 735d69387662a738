"""Our templates against jinja2 3.1.2: recorded renderings, and random templates.

Usage: jinja.py [--program build/release/tests/differential/render_cases] [--data FOLDER]
                [--templates N] [--seed N] [--show N]

Needs PyPI jinja2==3.1.2. Not part of CI. It prints how many are equal, shows each difference as the
smallest template that still has it, and exits 1 if there is one.

Equal is: the same text, or the same class of error with the same message (ours may cut a long one).

Two liberties: the reference folds constants while it compiles, and `{{ 1[0:1] }}` is then something
else than with a variable, so either result is right; and where it generates Python that does not
compile (SyntaxError), ours is a TemplateSyntaxError.

Not compared, because the reference's own result is an accident:
  - texts with addresses of objects, the names of Python's types of functions, and functions that
    the reference made up for filters that it does not have;
  - what has no counterpart by design: whole numbers beyond 64 bits (ours says NotSupported), work
    beyond the budgets (LimitExceeded) or deeper than 200 (RecursionError), bytes, `lipsum`,
    `random`, `self`, surrogates, format_map() in loops and blocks (the reference counts an argument
    of its own), `super`, filters that give a block no text, {% autoescape %} by a variable, pop()
    and clear() of lists (refused here, as in jinja2 3.1.6);
  - two recorded unit tests whose variables were recorded after the template had changed them.
Each of these is counted.
"""
import argparse
import collections
import json
import pathlib
import random
import re
import subprocess
import sys
import unicodedata

import cases
import reference

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOW = [2024, 7, 26, 12, 34, 56]
NOT_COMPARABLE = re.compile(
    r"0x[0-9a-f]{6,}|<built-in |<function |<bound method |<class |<generator |coroutine|"
    r"builtin_function_or_method|'method'|'function'|'type'|method_descriptor|<locals>", re.I)
SPACE = re.compile(r"[\x00-\x1f\x7f]")
REFUSED = re.compile(r"(NotSupported|LimitExceeded|RecursionError): ")
CHANGED = re.compile(r"\.(pop|clear)\(")
ERROR = re.compile(r"(?:line (\d+)(?:, column \d+)?: )?(\w+): (.*)", re.S)


class Ours:
    """The program, kept running: lines in, lines out."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, encoding="utf-8", errors="surrogatepass")

    def render(self, template, context, now=NOW):
        self.process.stdin.write(json.dumps(
            {"template": template, "context": context, "now": now}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the program ended at: {template!r} with {json.dumps(context)}")
        return json.loads(line)


def same_message(text, want, template):
    """`text` is "Class: message: the line of the template", cut somewhere."""
    if text == want or (len(want.encode()) > 300 and text[:250] == want[:250]):
        return True
    if not text.startswith(want + ": "):
        return False
    rest = text[len(want) + 2:].rstrip("…").removeprefix("…").removesuffix("...")
    return any(rest[:40].strip() in SPACE.sub(" ", line) for line in template.split("\n"))


def compare(got, want, template):
    """'equal', 'different', or why they cannot be compared."""
    text, error = want
    if "refused" in got:
        return "no JSON"
    if "error" in got and REFUSED.search(got["error"]):
        return "refused: " + REFUSED.search(got["error"]).group(1)
    shown = text if error is None else ": ".join(error)
    if equal(got, text, error, shown, template):
        return "equal"
    return "address" if NOT_COMPARABLE.search(shown) else "different"


def equal(got, text, error, shown, template):
    if error is None or "text" in got:
        return got.get("text") == text
    match = ERROR.fullmatch(got["error"])
    if error[0] == "SyntaxError":
        return match is not None and match.group(2) == "TemplateSyntaxError"
    return (match is not None and match.group(2) == error[0] and
            same_message(f"{error[0]}: {match.group(3)}", shown, template))


def smaller(tree):
    """Copies of a tree, each with one part taken away or put in the place of a larger one."""
    def walk(node, rebuild):
        for k, part in enumerate(node.parts):
            if not isinstance(part, cases.T):
                continue
            def put(new, k=k):
                return rebuild(cases.T(node.kind, *node.parts[:k], new, *node.parts[k + 1:]))
            if part.kind in ("stmt", "text"):
                yield put("")
                for inner in bodies(part):
                    yield put(inner)
            if part.kind == "expr":
                for inner in expressions(part):
                    if len(str(inner)) < len(str(part)):
                        yield put(inner)
                for simple in ("1", "'a'", "[]"):
                    if len(simple) < len(str(part)):
                        yield put(simple)
            yield from walk(part, put)
    yield from walk(tree, lambda t: t)


def bodies(node):
    for part in node.parts:
        if isinstance(part, cases.T):
            if part.kind == "body":
                yield part
            yield from bodies(part)


def expressions(node):
    for part in node.parts:
        if isinstance(part, cases.T):
            if part.kind == "expr":
                yield part
            yield from expressions(part)


def shrink(tree, context, differs):
    changed = True
    while changed:
        changed = False
        for other in smaller(tree):
            if len(str(other)) < len(str(tree)) and differs(str(other), context):
                tree, changed = other, True
                break
    for name in list(context):
        less = {k: v for k, v in context.items() if k != name}
        if differs(str(tree), less):
            context = less
    return str(tree), context


def shrink_text(text, context, differs):
    step = max(1, len(text) // 2)
    while step:
        at = 0
        while at < len(text):
            other = text[:at] + text[at + step:]
            if differs(other, context):
                text = other
            else:
                at += step
        step //= 2
    return cases.T("body", text)


def run_random(ours, n, seed, n_shown):
    counts, shown = collections.Counter(), 0
    kinds = collections.Counter()
    env, unfolded = reference.environment(NOW), reference.environment(NOW, folding=False)

    def judge(template, context):
        got = ours.render(template, context)
        want = reference.render(env, template, json.loads(json.dumps(context)))
        verdict = compare(got, want, template)
        if verdict == "different":
            other = reference.render(unfolded, template, json.loads(json.dumps(context)))
            verdict = compare(got, other, template)
        return verdict, want

    def differs(template, context):
        return judge(template, context)[0] == "different"

    for k in range(n):
        r = random.Random(f"{seed}/{k}")
        context = cases.random_context(r)
        tree = cases.Cases(r, wrong=r.choice([0, 0.005, 0.02])).body(0)
        template = str(tree)
        if r.random() < 0.08:
            template = cases.mutated(r, template)
        verdict, want = judge(template, context)
        counts[verdict] += 1
        kinds[want[1][0] if want[1] else "text"] += 1
        if verdict == "different" and shown < n_shown:
            shown += 1
            small = tree if template == str(tree) else shrink_text(template, context, differs)
            show(k, *shrink(small, context, differs), ours, env)
    print("random templates:", dict(counts))
    print("what the reference gave:", dict(kinds.most_common()))
    return counts["different"]


def show(k, template, context, ours, env):
    text, error = reference.render(env, template, json.loads(json.dumps(context)))
    got = ours.render(template, context)
    print(f"--- {k}: {template!r}\n  context {json.dumps(context, ensure_ascii=False)[:400]}")
    print(f"  want {text if error is None else ': '.join(error)!r}"[:600] if error
          else f"  want {text!r}"[:600])
    print(f"  got  {got.get('text', got.get('error'))!r}"[:600], flush=True)


def run_recorded(ours, folder):
    """The renderings that were recorded with transformers, and the unit tests of others."""
    different = 0
    templates = json.loads((folder / "templates.json").read_text())
    contexts = json.loads((folder / "contexts.json").read_text())
    verdicts = collections.Counter()
    for line in (folder / "renders.jsonl").read_text().splitlines():
        case = json.loads(line)
        template = templates[case["template"]]
        want = (case.get("expected"), (case["error"], case["message"]) if "error" in case else None)
        verdict = compare(ours.render(template, contexts[case["context"]]), want, template)
        verdicts[verdict] += 1
        if verdict != "equal":
            got = ours.render(template, contexts[case["context"]])
            print(f"--- {case['template']} with {case['context']}: {verdict}")
            print(f"  want {str(want)[:300]}\n  got  {str(got)[:300]}")
    print("renders.jsonl:", dict(verdicts))
    different += sum(verdicts.values()) - verdicts["equal"]
    verdicts.clear()
    for line in (folder / "jinja_unit_tests.jsonl").read_text().splitlines():
        case = json.loads(line)
        if CHANGED.search(case["template"]):
            verdicts["changes a list"] += 1
            continue
        error = case["jinja2_error"]
        want = (case["jinja2_3_1_2"], tuple(error.split(": ", 1)) if error else None)
        got = ours.render(case["template"], case["vars"])
        verdict = compare(got, want, case["template"])
        verdicts[verdict] += 1
        if verdict == "different":
            print(f"--- {case['name']}: {case['template']!r}\n  want {want}\n  got  {got}")
    print("jinja_unit_tests.jsonl:", dict(verdicts))
    return different + verdicts["different"]


CHARACTER_METHODS = [
    "upper", "lower", "title", "capitalize", "swapcase", "casefold", "isalnum", "isalpha",
    "isascii",
    "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace",
    "istitle", "isupper", "strip", "split", "splitlines"]


def run_characters(ours):
    """Every character through every method that looks at characters; and sigmas among others."""
    env = reference.environment(NOW)
    counts = collections.Counter()

    def check(what, template, context):
        want = reference.render(env, template, context)
        if compare(ours.render(template, context), want, template) == "equal":
            counts["equal"] += 1
            return
        counts["different"] += 1
        got = ours.render(template, context).get("text", "").split("|")
        for c, a, b in zip(context["s"], want[0].split("|"), got):
            if a != b:
                print(f"  {what} of {c!r}: want {a!r}, got {b!r}")

    # what Unicode 14 does not have, other versions may; ideographs and syllables are all alike
    known = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Co",
        "Cs")
             and not (0x3500 < c < 0x9F00 or 0xAC80 < c < 0xD700 or 0x20100 < c < 0x2A600)]
    for begin in range(0, len(known), 4000):
        for name in CHARACTER_METHODS:
            check(name,
                  "{% for c in s %}{{ ('a' ~ c if '" + name + "' == 'isidentifier' else c)." + name
                  + "() }}|{% endfor %}", {"s": known[begin:begin + 4000]})
        for use in ("c|wordcount", "('1' ~ c)|int(-1)", "(c ~ 'x')|title",
                    "('a' ~ c ~ 'b')|wordwrap(1)",
                    "(' ' ~ c)|urlize", "c|urlencode", "c|tojson(true)", "c|pprint"):
            check(use, "{% for c in s %}{{ " + use + " }}|{% endfor %}",
                  {"s": known[begin:begin + 4000]})
    r = random.Random(1)
    for name in ("lower", "title", "capitalize", "swapcase"):
        texts = ["".join(r.choice("\u03a3\u03c3Aa1 .':\u0345\u00ad\u02b0\u01c5") for _ in range(r.randrange(8)))
                 for _ in range(2000)]
        check(name, "{% for t in s %}{{ t." + name + "() }}|{% endfor %}", {"s": texts})
    print("characters:", dict(counts))
    return counts["different"]


def run_moments(ours, n):
    """Every directive of strftime, with flags, at random moments."""
    counts = collections.Counter()
    formats = ["%" + flag + width + c for flag in ("", "-", "_", "0", "^", "#", "E", "O")
               for width in ("", "3", "12") for c in map(chr, range(33, 127)) if c != "s"]
    template = "{% for f in formats %}{{ strftime_now(f) }}|{% endfor %}"
    r = random.Random(1)
    for _ in range(n):
        moment = [r.randint(1000, 9999), r.randint(1, 12), r.randint(1, 28), r.randrange(24),
                  r.randrange(60), r.randrange(60)]
        want = reference.render(reference.environment(moment), template, {"formats": formats})
        got = ours.render(template, {"formats": formats}, moment).get("text", "")
        counts["equal" if got == want[0] else "different"] += 1
        if got != want[0]:
            print([(f, a, b) for f, a, b in zip(formats, want[0].split("|"), got.split("|"))
                   if a != b][:5])
    print("moments:", dict(counts))
    return counts["different"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "build/release/tests/differential/render_cases")
    parser.add_argument("--data", type=pathlib.Path,
                        default=ROOT.parent / "shared/data/chat-templates")
    parser.add_argument("--templates", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=10)
    args = parser.parse_args()
    ours = Ours(args.program)
    different = 0
    if args.data.is_dir():
        different += run_recorded(ours, args.data)
    else:
        print(f"{args.data} is not here: no recorded renderings")
    different += run_characters(ours) + run_moments(ours, 50)
    different += run_random(ours, args.templates, args.seed, args.show)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
