"""Random templates and contexts from a grammar, as trees that can be made smaller.

A tree is T(kind, parts): parts are texts and trees, and str() is the template. Expressions know
which type they should have, so that most templates render; a few are wrong on purpose.
"""
import random

import snippets
from snippets import DICT_METHODS, FILTERS, LIST_METHODS, NUMERIC, TESTS, TEXT_METHODS

WORDS = ["a", "Hello", "hello world", "x y  z", "", " pad ", "user", "ß", "ΣΑΣ", "naïve café",
         "日本語",
         "<b>bold</b>", "a&b", "it's", 'say "hi"', "line1\nline2", "tab\there", "UPPER", "MiXed",
         "foo-bar baz", "1,2,3", "42", "-7", "3.5", "0x1f", "1e3", "%s and %d", "{} {0}", "a.b.c",
         "www.example.com", "me@example.org", "<|im_start|>", "😀!", "\u00a0nbsp\u00a0", "ǆ", "İ",
         "ﬁ"]
KEYS = ["role", "content", "name", "id", "value", "type", "n"]


class T:
    def __init__(self, kind, *parts):
        self.kind, self.parts = kind, list(parts)

    def __str__(self):
        return "".join(map(str, self.parts))


def random_value(r, depth=0):
    """A value of JSON, as contexts hold them."""
    kind = r.randrange(10 if depth < 3 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return r.random() < 0.5
    if kind == 2:
        return r.choice([0, 1, 2, 3, 7, -1, 10, 255, 1000, -1000, 123456789])
    if kind == 3:
        return r.choice([0.0, 1.0, 0.5, -2.5, 3.14159, 1e10, 1e-7, 1e22, 123.456, 2.5])
    if kind < 6:
        return r.choice(WORDS)
    if kind < 8:
        return [random_value(r, depth + 1) for _ in range(r.randrange(4))]
    return {r.choice(KEYS): random_value(r, depth + 1) for _ in range(r.randrange(4))}


def random_context(r):
    def words():
        return [r.choice(WORDS) for _ in range(r.randrange(5))]

    def message():
        m = {"role": r.choice(["user", "assistant", "system", "tool"]), "content": r.choice(WORDS)}
        if r.random() < 0.2:
            m["name"] = r.choice(WORDS)
        if r.random() < 0.2:
            m["tool_calls"] = [{"function": {"name": "f", "arguments": random_value(r, 1)}}]
        if r.random() < 0.1:
            m["content"] = [{"type": "text", "text": r.choice(WORDS)}]
        return m

    return {
        "s": r.choice(WORDS), "t": r.choice(WORDS), "i": r.randrange(-5, 12),
        "j": r.randrange(1, 5),
        "f": r.choice([0.5, 1.5, 2.5, -3.75, 100.0, 1e-5, 1e16]), "b": r.random() < 0.5,
        "nothing": None, "ints": [r.randrange(-9, 30) for _ in range(r.randrange(6))],
        "words": words(), "floats": [r.randrange(-20, 20) / 4 for _ in range(r.randrange(5))],
        "d": {k: r.choice(WORDS) for k in r.sample(KEYS, r.randrange(5))},
        "nest": {"a": {"b": [1, {"c": r.choice(WORDS)}]}, "n": r.randrange(9)},
        "messages": [message() for _ in range(r.randrange(5))],
        "rows": [{"id": r.randrange(4), "name": r.choice(["x", "X", "y", "b"]), "n": r.randrange(9),
                  "sub": {"k": r.randrange(3)}} for _ in range(r.randrange(6))],
        "any": random_value(r), "mixed": [random_value(r, 2) for _ in range(r.randrange(4))],
        "flag": r.random() < 0.5, "tools": r.choice([None, [], [{"type": "function"}]]),
        "bos_token": "<s>",
    }


TYPES = ["str", "int", "num", "bool", "list", "dict", "any", "ints", "words", "rows", "seq"]


def quoted(r, text):
    mark = r.choice("'\"")
    text = text.replace("\\", "\\\\").replace(mark, "\\" + mark).replace("\n", "\\n")
    return mark + text.replace("\t", "\\t" if r.random() < 0.5 else "\t") + mark


class Cases:
    """One random template: body() with the names that are known where it stands."""

    def __init__(self, r, wrong=0.02):
        self.r, self.wrong, self.loops, self.macros, self.spaces = r, wrong, 0, [], []
        self.names = {"str": ["s", "t"], "int": ["i", "j"], "num": ["f", "i"],
                      "bool": ["b", "flag"],
                      "list": ["ints", "words", "rows", "messages", "mixed"], "dict": ["d", "nest"],
                      "any": ["any", "nothing", "missing", "nest.a.b", "tools"], "ints": ["ints"],
                      "words": ["words"], "rows": ["rows"], "seq": ["words", "s", "ints"]}
        self.counter = 0

    def pick(self, *choices):
        return self.r.choice(choices)()

    def fresh(self):
        self.counter += 1
        return f"v{self.counter}"

    # ---- expressions ---------------------------------------------------------------------------
    def expr(self, kind, depth=0):
        r = self.r
        if r.random() < self.wrong:
            kind = r.choice(TYPES)
        if kind not in TYPES:
            return T("expr", str(self.simple(kind)))
        method = getattr(self, "make_" + kind, None)
        if method is None or depth > 3 or r.random() < 0.25:
            known = self.names.get(kind)
            if known and r.random() < 0.7:
                return T("expr", r.choice(known))
            return T("expr", self.literal(kind, depth))
        return T("expr", *method(depth + 1))

    def simple(self, kind):
        r = self.r
        return {
            "small": lambda: r.choice([0, 1, 2, 3, 4, -1, 5]),
            "width": lambda: r.choice([1, 3, 5, 10, 20]),
            "base": lambda: r.choice([10, 16, 2, 8, 0, 36]),
            "by": lambda: r.choice(["'key'", "'value'"]),
            "method": lambda: r.choice(["'common'", "'ceil'", "'floor'"]),
            "indent": lambda: r.choice(["none", "2", "4", "0", "'\\t'", "1"]),
            "path": lambda: r.choice(["'n'", "'name'", "'id'", "'sub.k'", "none", "0",
                                      "'content'"]),
            "key": lambda: quoted(r, r.choice(KEYS)),
            "char": lambda: r.choice(["'*'", "'é'", "'ab'", "'-'"]),
            "sep": lambda: r.choice(["none", "' '", "','", "'a'", "'\\n'", "''", "'l'"]),
            "affix": lambda: r.choice(["'a'", "'h'", "('a', 'H')", "s", "''"]),
            "fmt": lambda: r.choice(["'%s'", "'%s-%s'", "'%5s|%-5s'", "'%d %s'", "'%05.1f %r'",
                                     "'%%%s'",
                                     "'%x %s'", "'%s %(a)s'", "'plain'", "'%+d %i'", "'%.3s|%c'"]),
        }[kind]()

    def literal(self, kind, depth):
        r = self.r
        if kind in ("str",):
            return quoted(r, r.choice(WORDS))
        if kind in ("int",):
            return str(r.choice([0, 1, 2, 3, 5, 10, 100, 1000000, "1_000", "0x1F", "0b11", "0o17"]))
        if kind == "num":
            return str(r.choice([0, 1, 2, 1.5, 2.25, "1e3", "1.0", "12_3.5", "1e-3", 0.1]))
        if kind == "bool":
            return r.choice(["true", "false", "True", "False"])
        if kind in ("list", "ints", "words", "rows", "seq"):
            item = {"ints": "int", "words": "str", "rows": "dict"}.get(kind, "any")
            items = ", ".join(str(self.expr(item, depth + 2)) for _ in range(r.randrange(4)))
            if r.random() < 0.2 and kind == "list":
                return f"({items}{',' if items else ''})"
            return f"[{items}]"
        if kind == "dict":
            keys = r.sample(KEYS, r.randrange(4))
            return "{" + ", ".join(f"{quoted(r, k)}: {self.expr('any', depth + 2)}" for k in keys) + "}"
        return r.choice(["none", "None", "'x'", "1", "1.5", "true", "missing", "missing_too.x",
                         "[]", "{}"])

    def filtered(self, wanted, depth):
        """value|filter(…) whose result has this type; None when there is none."""
        r = self.r
        names = [n for n, f in FILTERS.items() if f[1] == wanted or wanted == "any"]
        if not names:
            return None
        name = r.choice(names)
        spec = FILTERS[name]
        needed = {"attr": 1, "batch": 1, "groupby": 1, "slice": 1, "replace": 2}.get(name, 0)
        value = self.expr(spec[0], depth)
        return ["(", value, ")|" if r.random() < 0.8 else ") | ", name,
                *self.call_args(spec[2], needed, spec[3] if len(spec) > 3 else [], depth)]

    def call_args(self, types, needed, named, depth, always=False):
        r = self.r
        n = r.randint(needed, len(types)) if r.random() < 0.6 else needed
        if r.random() < self.wrong:
            n = r.randrange(len(types) + 2)
        if n == 0 and not always and r.random() < 0.8:
            return []
        parts, by_name = ["("], False
        for k in range(n):
            kind = types[k] if k < len(types) else "any"
            if k:
                parts.append(", ")
            place = k - (len(types) - len(named))
            if 0 <= place < len(named) and (by_name or r.random() < 0.4):
                parts.append(named[place] + "=")
                by_name = True
            elif by_name:
                parts.append(f"k{k}=")
            parts.append(self.expr(kind, depth + 1))
        return parts + [")"]

    def lazy(self, depth):
        """map, select and such."""
        r = self.r
        kind = r.choice(["map_attr", "map", "select", "reject", "selectattr", "rejectattr"])
        if kind == "map_attr":
            extra = r.choice(["", ", default='?'", ", default=0"])
            return ["(", self.expr("rows", depth), ")|map(attribute=", self.simple("path"), extra,
                    ")"]
        if kind == "map":
            name = r.choice(["upper", "lower", "length", "string", "tojson", "trim", "int", "first",
                             "nosuch"] if r.random() < 0.1 else ["upper", "string", "trim", "int"])
            return ["(", self.expr("words", depth), f")|map('{name}')"]
        test = r.choice(list(TESTS))
        args = "".join(", " + str(self.expr(a, depth + 2)) for a in TESTS[test])
        value = "ints" if test in NUMERIC else "mixed" if r.random() < 0.3 else "words"
        if kind in ("select", "reject"):
            if r.random() < 0.2:
                return ["mixed|", kind]
            return ["(", self.expr("ints" if value == "ints" else "words", depth),
                    f")|{kind}('{test}'{args})"]
        path = r.choice(["n", "id", "name", "sub.k", "nosuch"])
        if r.random() < 0.2:
            return ["rows|", kind, f"('{path}')"]
        return ["(", self.expr("rows", depth), f")|{kind}('{path}', '{test}'{args})"]

    def method(self, wanted, depth):
        r = self.r
        table, value = r.choice([(TEXT_METHODS, "str"), (TEXT_METHODS, "str"),
                                 (LIST_METHODS, "list"),
                                 (DICT_METHODS, "dict")])
        names = [n for n, m in table.items() if m[0] == wanted or wanted == "any"]
        if not names:
            return None
        name = r.choice(names)
        _, types, needed = table[name]
        return ["(", self.expr(value, depth), ").", name,
                *self.call_args(types, needed, [], depth, always=True)]

    def conditional(self, kind, depth):
        return ["(", self.expr(kind, depth), " if ", self.expr("bool", depth),
                *([" else ", self.expr(kind, depth)] if self.r.random() < 0.8 else []), ")"]

    def some(self, *choices):
        """The first of these in random order that has something to give."""
        choices = list(choices)
        self.r.shuffle(choices)
        for choice in choices:
            made = choice()
            if made is not None:
                return made
        return ["none"]

    def item_of(self, depth):
        r = self.r
        return r.choice([
            lambda: ["(", self.expr("list", depth), ")[", self.expr("int", depth + 1), "]"],
            lambda: ["(", self.expr("dict", depth), ")[", self.simple("key"), "]"],
            lambda: [r.choice(["d", "nest", "nest.a", "messages[0]", "rows[0]", "any"]), ".",
                     r.choice(KEYS)],
            lambda: ["(", self.expr("rows", depth), ")[0].",
                     r.choice(["n", "name", "sub.k", "nosuch"])],
        ])()

    def make_str(self, d):
        r = self.r
        return self.some(
            lambda: ["(", self.expr("str", d), " ~ ", self.expr("any", d), ")"],
            lambda: ["(", self.expr("str", d), " + ", self.expr("str", d), ")"],
            lambda: ["(", self.expr("str", d), " * ", self.simple("small"), ")"],
            lambda: ["(", self.expr("fmt", d), " % (", self.expr("any", d), ", ",
                     self.expr("any", d), "))"],
            lambda: ["(", self.expr("str", d), ")[", *self.slice_(d), "]"],
            lambda: self.filtered("str", d), lambda: self.filtered("str", d),
            lambda: self.method("str", d), lambda: self.conditional("str", d),
            lambda: [quoted(r, r.choice(["{}", "{0:>5}", "{:05.2f}", "{!r}", "{a}", "{0[0]}",
                                         "{:,}", "{:x}"])),
                     ".format(", self.expr("any", d), ")"],
            lambda: [quoted(r, r.choice(WORDS)), " ", quoted(r, r.choice(WORDS))],
            lambda: ["strftime_now(", quoted(r,
                                             r.choice(["%Y-%m-%d", "%d %b %Y", "%H:%M:%S",
                                                       "%A %B %-d",
                                                          "%j %U %W %y %p", "%x %X", "%%",
                                                          "%e|%I"])), ")"])

    def slice_(self, d):
        r = self.r
        ends = [str(r.randrange(-4, 6)) if r.random() < 0.6 else "" for _ in range(2)]
        step = r.choice(["", "", ":", ":2", ":-1", ":-2"])
        return [ends[0] + ":" + ends[1] + step]

    def make_int(self, d):
        r = self.r
        return self.some(
            lambda: ["(", self.expr("int", d), r.choice([" + ", " - ", " * ", " // ", " % "]),
                     self.expr("int", d), ")"],
            lambda: ["(", self.expr("int", d), " ** ", r.choice("0123"), ")"],
            lambda: ["-", self.expr("int", d)], lambda: self.filtered("int", d),
            lambda: self.method("int", d), lambda: self.conditional("int", d),
            lambda: ["loop.", r.choice(["index", "index0", "revindex", "length", "depth"])]
            if self.loops else None)

    def make_num(self, d):
        return self.some(
            lambda: ["(", self.expr("num", d),
                     self.r.choice([" + ", " - ", " * ", " / ", " // ", " % "]),
                     self.expr("num", d), ")"],
            lambda: self.filtered("num", d), lambda: self.make_int(d))

    def make_bool(self, d):
        r = self.r
        test = r.choice(list(TESTS))
        word = test if test[0].isalpha() else "eq"
        return self.some(
            lambda: ["(", self.expr("any", d), r.choice([" and ", " or "]), self.expr("any", d),
                     ")"],
            lambda: ["(not ", self.expr("any", d), ")"],
            lambda: ["(", self.expr("int", d),
                     r.choice([" < ", " <= ", " == ", " != ", " > ", " >= "]),
                     self.expr("int", d), ")"],
            lambda: ["(", self.expr("any", d), r.choice([" == ", " != "]), self.expr("any", d),
                     ")"],
            lambda: ["(", self.expr("any", d), r.choice([" in ", " not in "]), self.expr("list", d),
                     ")"],
            lambda: ["(", self.expr("str", d), " in ", self.expr("str", d), ")"],
            lambda: ["(", self.expr("int", d), " < ", self.expr("int", d), " <= ",
                     self.expr("int", d), ")"],
            lambda: ["(", self.expr("int" if word in NUMERIC else "any", d),
                     r.choice([" is ", " is not "]),
                     word, *(["(", self.expr(TESTS[word][0], d), ")"] if TESTS.get(word) else
                             [" ", "1"] if word == "eq" else []), ")"],
            lambda: self.method("bool", d),
            lambda: ["loop.", r.choice(["first", "last"])] if self.loops else None)

    def make_list(self, d):
        return self.some(
            lambda: ["(", self.expr("list", d), " + ", self.expr("list", d), ")"],
            lambda: ["(", self.expr("list", d), ")[", *self.slice_(d), "]"],
            lambda: self.filtered("list", d), lambda: self.filtered("list", d),
            lambda: self.method("list", d), lambda: [*self.lazy(d), "|list"],
            lambda: ["range(", self.simple("small"), ", ", self.simple("width"), ")"],
            lambda: ["range(", self.simple("width"), ")|list"],
            lambda: self.conditional("list", d))

    def make_seq(self, d):
        return [self.expr(self.r.choice(["str", "list"]), d)]

    def make_dict(self, d):
        return self.some(
            lambda: ["dict(", self.expr("dict", d), ", a=", self.expr("any", d), ")"],
            lambda: ["dict(a=", self.expr("any", d), ", b=", self.expr("int", d), ")"],
            lambda: self.method("dict", d), lambda: self.conditional("dict", d))

    def bare(self, d):
        """Operators without brackets, so that their precedence decides."""
        r = self.r
        parts = [self.atom()]
        for _ in range(r.randint(1, 4)):
            parts += [r.choice([" + ", " - ", " * ", " / ", " // ", " % ", " ** ", " ~ ", " == ",
                                " != ", " < ",
                                " >= ", " in ", " not in ", " and ", " or ", "|string ~ ",
                                "|abs + ", " is defined and ",
                                " is not none or ", " if b else ", " + -", " and not ",
                                "|default(1) * "]), self.atom()]
        return ["(", r.choice(["", "", "not ", "-", "+"]), *parts,
                r.choice(["", "", "|string", " is string", " if b"]), ")"]

    def atom(self):
        return self.r.choice(["i", "j", "f", "1", "2", "2.5", "ints|length", "s", "'a'", "b",
                              "nothing", "missing",
                              "i is odd", "words[0]", "d.n", "ints[-1]", "(1, 2)", "[i]",
                              "nest.a.b.0", "t.upper()",
                              "s|length", "1 if b else 2", "nest['n']", "{'a': 1}"])

    def odd(self, d):
        """One of the things that a grammar of types does not reach."""
        r = self.r
        a, b = self.expr("any", d), self.expr("any", d)
        return r.choice([
            lambda: ["[", a, ", ", b, "]|tojson(",
                     r.choice(["sort_keys=true", "separators=(',', ':')", "indent=2",
                                                           "ensure_ascii=true, indent=1", "true",
                                                           "false, 3"]), ")"],
            lambda: ["{1: ", a, ", 1.0: ", b, ", true: 3, none: 4, (1, 2): 5, 'k': ", a, "}"],
            lambda: ["{1: 'one', 'x': 2}[", self.simple("small"), "]"],
            lambda: ["nest.a.b", r.choice([".0", "[1].c", "[-1]['c']", "[5]", "[1.5]", "['x']",
                                           "[none]", "[0, 1]",
                                           "['a':]", "[0:'x']", ".1.c", "[true]"])],
            lambda: ["(", a, ", ", b, ")[0]"],
            lambda: ["'inf'|float", r.choice(["", "|int", " * 0", "|round", "|string"])],
            lambda: ["'nan'|float", r.choice(["", "|int", " == 1", "|round(2)", "|tojson"])],
            lambda: ["(", a, " is sameas ", r.choice(["none", "true", "1", "'a'", "missing"]), ")"],
            lambda: ["(", a, " is in ", r.choice(["[1, 'a']", "'abc'", "d", "ints", "5"]), ")"],
            lambda: ["(", a, " is divisibleby ", r.choice(["2", "0", "'a'", "1.5"]), ")"],
            lambda: ["[", a, ", ", b, "] ", r.choice(["<", ">", "==", "<=", "!="]), " [", b, ", ",
                     a, "]"],
            lambda: ["(1, ", a, ") in [(1, ", b, ")]"],
            lambda: ["range(", self.simple("width"), ")",
                     r.choice(["|length", ".index(3)", "[2]", "[1:3]", "|sum", "|last",
                                                                   "|reverse|list", ".count(1)",
                                                                       " == range(3)", "|join"])],
            lambda: ["3 in range(", self.simple("width"), ")"],
            lambda: ["joiner('|')", r.choice(["()", ".sep", ".used", "(1)", "|string|length > 0"])],
            lambda: ["cycler(", a, ", ", b, ")",
                     r.choice([".next()", ".current", ".reset()", ".pos", ".items", ".next(1)"])],
            lambda: ["namespace(", r.choice(["a=1", "{'a': 2}", "{'a': 2}, b=3", "[['a', 5]]", "1",
                                             ""]), ")",
                     r.choice(["", ".a", ".b", "['a']", "|string", " is mapping", "|list"])],
            lambda: ["dict(", r.choice(["[['a', 1]]", "[(1, 2), (3, 4)]", "ab=1", "[1]", "['ab']",
                                        "d, n=5", "*[d]",
                                        "**d", "*[]"]), ")"],
            lambda: ["s.", r.choice(["replace(*['a', 'b'])", "split(*[none, 1])",
                                     "split(sep='a', maxsplit=1)", "join(*[words])",
                                     "upper(1)", "find()", "replace('a')", "split(1)",
                                     "startswith(1)", "startswith((1,))",
                                     "center('a')", "zfill(none)", "nosuch()", "count('')",
                                     "replace('', '-')", "strip(1)",
                                     "encode", "partition('')", "split('')", "join(1)", "join([1])",
                                     "splitlines(keepends=true)",
                                     "expandtabs(tabsize=2)", "split(x=1)", "title().swapcase()",
                                     "index('zz')",
                                     "format(*ints)", "format(**d)", "removeprefix(1)",
                                     "endswith('a', none, -1)"])],
            lambda: ["words|", r.choice(["map('nosuch')|list", "map(attribute='x', y=1)|list",
                                         "map()|list", "select('nosuch')|list",
                                         "selectattr()|list", "map(1)|list", "map(missing)|list",
                                         "map('replace', 'a', 'b')|join",
                                         "map('default', 'x', true)|list",
                                         "select('in', 'abc')|list", "map('center', width=9)|list",
                                         "map('upper')|map('lower')|unique|sort|join('+')",
                                         "reject('equalto', '')|first",
                                         "map('length')|sum", "join(d='-', attribute=0)",
                                         "sort(attribute=0)|list", "batch(2)|list",
                                         "batch(2, '-')|map('join')|list", "slice(3)|list",
                                         "slice(0)|list", "slice('a')|list",
                                         "batch(none)|list", "groupby(0)|list", "max(attribute=0)",
                                         "join(1)", "random is defined",
                                         "length()", "length(1)", "first(1)", "sum",
                                         "sum(start='')", "tojson(1, 2)", "last|upper"])],
            lambda: ["rows|", r.choice(["groupby('name')|map(attribute='list')|list",
                                        "groupby('nosuch')|list", "groupby('id')|list|last",
                                        "sort(attribute='name,id')",
                                        "sort(attribute='sub.k', reverse=true)|map(attribute='id')|list",
                                        "groupby('name', case_sensitive=true)|map('first')|list",
                                        "map(attribute='name')|unique|list",
                                        "selectattr('n', 'gt', 3)|map(attribute='n')|sum",
                                        "sum('n')", "sum(attribute='nosuch')",
                                        "max(attribute='n')", "min(attribute='name')|tojson",
                                        "map('items')|map('list')|list",
                                        "map('attr', 'n')|list", "dictsort", "sort", "unique|list",
                                        "map('dictsort')|first",
                                        "map(attribute='nosuch', default=[])|list",
                                        "sort(attribute='nosuch')"])],
            lambda: [quoted(r, r.choice(WORDS)), "|",
                     r.choice(["indent('> ')", "truncate(5, true, '')",
                               "truncate(3, end='..', leeway=0)",
                                                                "wordwrap(4, false)",
                                                                    "wordwrap(5, wrapstring='|')",
                                                                        "center(-1)",
                                                                "replace('l', '', 1)", "trim('h ')",
                                                                    "int('x')", "float('x')",
                                                                "urlize(5, true, '_blank')",
                                                                    "list|pprint", "tojson|safe",
                                                                        "round",
                                                                "filesizeformat",
                                                                    "default(boolean=true)",
                                                                        "int(base=16)", "abs",
                                                                "striptags|upper",
                                                                    "forceescape|length", "e|e",
                                                                        "wordcount + 1"])],
            lambda: [r.choice(["1000", "999.9", "1e6", "1234567", "-5", "0", "1", "1024", "'12'",
                               "1e30"]), "|filesizeformat",
                     r.choice(["", "(true)", "(binary=true)"])],
            lambda: [r.choice(["2.5", "-2.5", "1234.5678", "0.5", "15", "25", "1e20", "-0.4",
                               "2.675", "1e-9"]), "|round(",
                     r.choice(["", "1", "2", "-1", "-2", "0, 'ceil'", "1, 'floor'", "2, 'ceil'",
                               "-1, 'floor'", "none"]), ")"],
            lambda: ["\"", r.choice(["\\x41", "\\u00e9", "\\101", "\\n\\t", "\\q", "\\\\", "\\'",
                                     "\\0", "\\N{BULLET}", "\\x4"]), "\""],
            lambda: ["'{:", r.choice(["d", "05d", ">8", "^8s", "*<6", "+.2f", "e", "g", "%", "#x",
                                      "b", "c", ",.1f", "_", " d", "n", "=+7",
                                      ".3", "s", "q", "10.4f", "08.3e", "X", "o", "<5", "!s"]),
                                      "}'.format(", self.expr("num", d), ")"],
            lambda: ["'%", r.choice(["d", "5d", "-5d|", "05d", "+d", "x", "o", "e", "g", "f", ".2f",
                                     "s", "r", "5s|", "c", "%", "i", "#x",
                                     "*d", "(a)s", "q", ".0f", " d", "a", "X"]), "' % ",
                                     self.expr("num", d)]])()

    def make_any(self, d):
        if self.r.random() < 0.2:
            return self.odd(d)
        if self.r.random() < 0.1:
            return self.bare(d)
        kind = self.r.choice(["str", "int", "num", "bool", "list", "dict", "item", "filter",
                              "method", "lazy"])
        if kind == "item":
            return self.item_of(d)
        if kind == "filter":
            return self.filtered("any", d)
        if kind == "method":
            return self.method("any", d) or ["none"]
        if kind == "lazy":
            return ["(", *self.lazy(d), ")|",
                    self.r.choice(["list", "join(',')", "first", "list|length"])]
        return [self.expr(kind, d)]

    # ---- statements ----------------------------------------------------------------------------
    def open(self):
        return self.r.choice(["{% "] * 6 + ["{%- ", "{%+ ", "{%"])

    def close(self):
        return self.r.choice([" %}"] * 6 + [" -%}", " +%}", "%}"])

    def tag(self, *parts):
        return ["", self.open(), *parts, self.close()]

    def text(self):
        r = self.r
        return T("text", r.choice(["text", "\n", "  ", " \n  ", "\n\n", "a b", "<|x|>", "é",
                                   "  line\n", "\t",
                                   "{ ", "}", "%", "#", "{ { ", "'", '"', "\\n", "-", "x\n  y\n"]))

    def print_(self, depth):
        r = self.r
        kind = r.choice(TYPES)
        return T("stmt", r.choice(["{{ ", "{{ ", "{{- ", "{{+ "]), self.expr(kind),
                 r.choice([" }}", " }}", " -}}"]))

    def body(self, depth):
        return T("body", *[self.statement(depth + 1) for _ in range(self.r.randint(1, 4))])

    def statement(self, depth):
        r = self.r
        if depth > 4:
            return r.choice([self.text, lambda: self.print_(depth)])()
        return r.choices(
            [self.text, lambda: self.print_(depth), lambda: self.set_(), lambda: self.if_(depth),
             lambda: self.for_(depth), lambda: self.macro(depth), lambda: self.call(depth),
             lambda: self.with_(depth), lambda: self.filter_block(depth),
             lambda: self.set_block(depth),
             lambda: self.namespace(), lambda: self.comment(), lambda: self.raw(),
             lambda: self.generation(depth), lambda: self.block(depth), lambda: self.flow(),
             lambda: self.error(), lambda: self.autoescape(depth), lambda: self.recursive(depth),
             lambda: self.special()],
            [20, 25, 10, 8, 10, 4, 4, 3, 3, 3, 5, 2, 1, 1, 1, 2, 0.3, 1, 1, 3])[0]()

    def declare(self, kind, name):
        self.names.setdefault(kind, []).append(name)

    def set_(self):
        r = self.r
        kind = r.choice(TYPES)
        if r.random() < 0.15:
            a, b = self.fresh(), self.fresh()
            tree = T("stmt", *self.tag("set ", a, ", ", b, " = ", self.expr(kind), ", ",
                                       self.expr("any")))
            self.declare(kind, a)
            self.declare("any", b)
            return tree
        name = self.fresh() if r.random() < 0.7 else r.choice(self.names[kind])
        value = self.expr(kind)
        tree = T("stmt", *self.tag("set ", name, " = ", value))
        if "." not in name:
            self.declare(kind, name)
        return tree

    def scoped(self, make):
        """What is declared inside is not known outside."""
        names = {k: list(v) for k, v in self.names.items()}
        made = make()
        self.names = names
        return made

    def if_(self, depth):
        r = self.r
        parts = [*self.tag("if ", self.expr("bool")), self.body(depth)]
        for _ in range(r.choice([0, 0, 0, 1, 2])):
            parts += [*self.tag("elif ", self.expr("any")), self.body(depth)]
        if r.random() < 0.5:
            parts += [*self.tag("else"), self.body(depth)]
        return T("stmt", *parts, *self.tag("endif"))

    def for_(self, depth):
        return self.scoped(lambda: self.for_inside(depth))

    def for_inside(self, depth):
        r = self.r
        form = r.choice(["list", "ints", "words", "rows", "items", "str", "range", "lazy",
                         "messages"])
        name = self.fresh()
        target = name
        if form == "items":
            other = self.fresh()
            target, over = f"{name}, {other}", T("expr", self.expr("dict"),
                                                 r.choice([".items()", "|items", "|dictsort"]))
            over = T("expr", "(", over, ")") if False else over
        elif form == "range":
            over = T("expr", "range(", self.expr("int"), ")")
        elif form == "lazy":
            over = T("expr", *self.lazy(1))
        elif form == "messages":
            over = T("expr", "messages")
        else:
            over = self.expr(form)
        parts = [*self.tag("for ", target, " in ", over,
                           *([" if ", self.expr("bool")] if r.random() < 0.2 else []))]
        self.declare({"ints": "int", "range": "int", "words": "str", "str": "str", "rows": "dict",
                      "messages": "dict"}.get(form, "any"), name)
        if form == "items":
            self.declare("any", other)
        self.loops += 1
        if r.random() < 0.3:
            parts.append(T("stmt", "{{ ", T("expr", r.choice([
                "loop.cycle('a', 'b')", "loop.changed(" + name + ")", "loop.previtem",
                "loop.nextitem",
                "loop.index ~ '/' ~ loop.length", "loop.last", "loop.revindex0", "loop.depth0",
                "loop"])),
                " }}"))
        parts.append(self.body(depth))
        self.loops -= 1
        if r.random() < 0.2:
            parts += [*self.tag("else"), self.body(depth)]
        return T("stmt", *parts, *self.tag("endfor"))

    def recursive(self, depth):
        name = self.fresh()
        return T("stmt", *self.tag("for ", name, " in [1, [2, [3, 4]], [], [[5]]] recursive"),
                 "{{ loop.depth }}:{% if ", name, " is iterable %}[{{ loop(", name,
                 ") }}]{% else %}{{ ", name,
                 " }}{% endif %}", T("stmt", "{{ loop.index }}"), *self.tag("endfor"))

    def flow(self):
        if not self.loops:
            return self.text()
        word = self.r.choice(["break", "continue"])
        return T("stmt", *self.tag("if ", self.expr("bool")), *self.tag(word), *self.tag("endif"))

    def macro(self, depth):
        r = self.r
        name = f"m{self.fresh()}"
        n = r.randrange(4)
        params = [self.fresh() for _ in range(n)]
        n_defaults = r.randint(0, n)
        shown = [p if k < n - n_defaults else T("", p, "=", self.expr("any", 2)) for k,
                 p in enumerate(params)]

        def inside():
            loops, self.loops = self.loops, 0
            for p in params:
                self.declare("any", p)
            parts = [T("stmt", "{{ ", T("expr", p), " }}") for p in params]
            if r.random() < 0.2:
                parts.append(T("stmt", "{{ ",
                               r.choice(["varargs", "kwargs", "caller()", "varargs|length"]),
                               " }}"))
            parts.append(self.body(depth))
            self.loops = loops
            return parts
        between = [x for s in shown for x in (s, ", ")][:-1]
        parts = [*self.tag("macro ", name, "(", *between, ")"), *self.scoped(inside),
                 *self.tag("endmacro")]
        self.macros.append((name, n, n_defaults, params))
        return T("stmt", *parts)

    def macro_call(self):
        r = self.r
        name, n, n_defaults, params = r.choice(self.macros)
        given = r.randint(n - n_defaults, n) if r.random() < 0.9 else r.randrange(5)
        parts = [name, "("]
        for k in range(given):
            if k:
                parts.append(", ")
            if k < n and r.random() < 0.2 or (len(parts) > 3 and "=" in str(parts[-3])):
                parts.append(params[k] + "=" if k < n else f"z{k}=")
            parts.append(self.expr("any", 2))
        return parts + [")"]

    def call(self, depth):
        r = self.r
        if not self.macros:
            return self.macro(depth)
        if r.random() < 0.6:
            return T("stmt", "{{ ", T("expr", *self.macro_call()), " }}")
        params = r.choice(["", "", "(cx)", "(cx, cy=1)"])
        return T("stmt", *self.tag("call", params, " ", *self.macro_call()),
                 self.scoped(lambda: self.body(depth)),
                 *self.tag("endcall"))

    def with_(self, depth):
        name = self.fresh()
        return self.scoped(lambda: T("stmt", *self.tag("with ", name, " = ", self.expr("any")),
                                     self.inside(name, depth), *self.tag("endwith")))

    def inside(self, name, depth):
        self.declare("any", name)
        return self.body(depth)

    def filter_block(self, depth):
        name = self.r.choice(["upper", "trim", "indent", "replace('a', 'b')", "title", "escape",
                              "center(20)",
                              "upper|lower", "reverse", "indent(2, true)"])
        return T("stmt", *self.tag("filter ", name), self.scoped(lambda: self.body(depth)),
                 *self.tag("endfilter"))

    def set_block(self, depth):
        name = self.fresh()
        tree = T("stmt", *self.tag("set ", name,
                                   self.r.choice(["", "", " | upper", " | trim", "|indent"])),
                 self.scoped(lambda: self.body(depth)), *self.tag("endset"))
        self.declare("str", name)
        return tree

    def namespace(self):
        r = self.r
        if not self.spaces or r.random() < 0.3:
            name = f"ns{self.fresh()}"
            self.spaces.append(name)
            return T("stmt", *self.tag("set ", name, " = namespace(x=", self.expr("any"), ")"))
        name = r.choice(self.spaces)
        return T("stmt", *self.tag("set ", name, ".", r.choice("xyz"), " = ", self.expr("any")),
                 "{{ ", name, ".",
                 r.choice("xyz"), " }}")

    def comment(self):
        return T("stmt", self.r.choice(["{# note #}", "{#- note -#}", "{# a\nb #}", "{#+ x +#}"]))

    def raw(self):
        return T("stmt", self.r.choice(["{% raw %}{{ x }}{% endraw %}",
                                        "{%- raw -%} {% if %} {%- endraw -%}",
                                        "{% raw %}\n{{\n{% endraw %}\n"]))

    def generation(self, depth):
        return T("stmt", *self.tag("generation"), self.scoped(lambda: self.body(depth)),
                 *self.tag("endgeneration"))

    def block(self, depth):
        loops, self.loops = self.loops, 0
        tree = T("stmt", *self.tag("block b", self.fresh()), self.scoped(lambda: self.body(depth)),
                 *self.tag("endblock"))
        self.loops = loops
        return tree

    def autoescape(self, depth):
        return T("stmt", *self.tag("autoescape ", self.r.choice(["true", "false"])),
                 self.scoped(lambda: self.body(depth)), *self.tag("endautoescape"))

    def special(self):
        r = self.r
        return T("stmt", r.choice(snippets.STATEMENTS))

    def error(self):
        return T("stmt", "{{ ", T("expr", self.r.choice([
            "raise_exception('oops')", "missing.x", "missing()", "1 // 0", "'a' + 1", "[1] + (2,)",
            "{}['a'].b",
            "ints.append(1)", "''.__class__", "s.__class__.mro()", "dict(1)", "range(1, 2, 0)",
            "range(1000000)",
            "1 < 'a'", "nosuch|nofilter", "1 is notest", "none.x.y", "s.nosuch()", "1()", "ints()",
            "d.x.y.z",
            "-s", "{[]: 1}", "{}|dictsort(by='x')", "s|round", "'a'|int(base=99)", "[1,'a']|sort",
            "[1,'a']|max"])),
            " }}")


def mutated(r, text):
    """A template with a mistake somewhere: what parsers must refuse in the same words."""
    tokens = ["{%", "%}", "{{", "}}", "(", ")", "[", "]", "|", ".", ",", "if", "endif", "for", "in",
              "endfor", "=",
              "'", "else", "is", "not", "~", "{#", "#}", ":", "{", "}", "+", "set", "endset",
              "macro", "raw", "$", "!",
              "endmacro", "recursive", "block", "1", "x", "and", "elif", "loop", "-", "**", "call",
              "\\", "do"]
    for _ in range(r.randint(1, 2)):
        at = r.randrange(len(text) + 1)
        kind = r.randrange(3)
        if kind == 0:
            text = text[:at] + r.choice(tokens) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + r.randint(1, 4):]
        else:
            text = text[:at] + " " + r.choice(tokens) + " " + text[at:]
    return text
