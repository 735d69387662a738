"""Small tokenizers of every kind with random settings, as the dictionaries of a tokenizer.json."""
import texts
from charsmap import charsmap

MARK = "\u2581"
SPECIAL = ["<s>", "</s>", "<unk>", "[CLS]", "[SEP]", "<|x|>", "<|x|><|y|>", "<pad>"]
ADDED = ["ab", "é", "e\u0301", " a", "the ", "Straße", "日本", "\n", "don't", MARK, MARK + MARK, "ABC", "a b", "ﬁ", "12"]
REGEXES = [r"\s+", r"\d{1,3}", r"\p{L}+", r"[^\s\p{L}\p{N}]+", r" ?\p{L}+| ?\p{N}+|\s+(?!\S)|\s+", r"a|b", r"(?=[A-Z])",
           r"\p{P}", r"[0-9]", r"b*", r"(?i:'s|'t|'re)", r" {2,}", r"^ +", r" +$", r"\w+", r"[^\w\s]", r".", r"\n", r"\s"]
EMPTY = [r"(?=[A-Z])", r"b*"]
STRINGS = [" ", "a", "  ", MARK, "ab", "'", "é", "\n", "the", "."]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def flag(random):
    return random.random() < 0.5


def pattern(random):
    return {"Regex": random.choice(REGEXES)} if flag(random) else {"String": random.choice(STRINGS)}


def solid_pattern(random):
    """One that matches no empty text: when a normalizer replaces that, the library loses count, and panics later."""
    return {"Regex": random.choice([regex for regex in REGEXES if regex not in EMPTY])} if flag(random) else {
        "String": random.choice(STRINGS)}


def random_charsmap(random):
    keys = texts.SINGLES + texts.MARKS + texts.EMOJI + list("aeo\t\n\r ") + ["e\u0301", "\r\n", "ﬁ", "Å", "１", "か\u3099"]
    mapping = {key: random.choice(["", " ", "x", "ab", "é", MARK, key, key + "y"])
               for key in random.sample(keys, random.randrange(1, 30)) if "\0" not in key}
    if random.random() < 0.2:
        mapping[bytes([random.randrange(0xC2, 0xF5)])] = "Y"
    return charsmap(mapping)


NORMALIZERS = {
    "NFC": lambda r: {}, "NFD": lambda r: {}, "NFKC": lambda r: {}, "NFKD": lambda r: {}, "Lowercase": lambda r: {},
    "StripAccents": lambda r: {}, "Nmt": lambda r: {}, "ByteLevel": lambda r: {},
    "Strip": lambda r: {"strip_left": flag(r), "strip_right": flag(r)},
    "Prepend": lambda r: {"prepend": r.choice([MARK, " ", "x", "ab"])},
    "Replace": lambda r: {"pattern": solid_pattern(r), "content": r.choice(["", " ", MARK, "b", "xyz"])},
    "BertNormalizer": lambda r: {"clean_text": flag(r), "handle_chinese_chars": flag(r), "lowercase": flag(r),
                                 "strip_accents": r.choice([None, True, False])},
    "Precompiled": lambda r: {"precompiled_charsmap": random_charsmap(r)},
}
PRE_TOKENIZERS = {
    "BertPreTokenizer": lambda r: {}, "UnicodeScripts": lambda r: {}, "Whitespace": lambda r: {},
    "WhitespaceSplit": lambda r: {},
    "ByteLevel": lambda r: {"add_prefix_space": flag(r), "trim_offsets": True, "use_regex": flag(r)},
    "CharDelimiterSplit": lambda r: {"delimiter": r.choice(" aé-日")},
    "Digits": lambda r: {"individual_digits": flag(r)},
    "FixedLength": lambda r: {"length": r.randrange(1, 9)},
    "Metaspace": lambda r: {"replacement": r.choice([MARK, MARK, "_", "é"]), "split": flag(r),
                            "prepend_scheme": r.choice(["always", "first", "never"])},
    "Punctuation": lambda r: {"behavior": r.choice(BEHAVIORS)},
    "Split": lambda r: {"pattern": pattern(r), "behavior": r.choice(BEHAVIORS), "invert": flag(r)},
}
DECODERS = {
    "ByteLevel": lambda r: {"add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "ByteFallback": lambda r: {}, "Fuse": lambda r: {},
    "Strip": lambda r: {"content": r.choice(" a▁é"), "start": r.randrange(3), "stop": r.choice([0, 0, 1, 2])},
    "Replace": lambda r: {"pattern": pattern(r), "content": r.choice(["", " ", "b", "xyz"])},
    "Metaspace": lambda r: {"replacement": r.choice([MARK, "_", "é"]), "split": flag(r),
                            "prepend_scheme": r.choice(["always", "first", "never"])},
    "WordPiece": lambda r: {"prefix": r.choice(["##", "a", ""]), "cleanup": flag(r)},
    "BPEDecoder": lambda r: {"suffix": r.choice(["</w>", "a", "ab"])},
    "CTC": lambda r: {"pad_token": r.choice(["<pad>", "a"]), "word_delimiter_token": r.choice(["|", " ", "b"]),
                      "cleanup": flag(r)},
}


def chain(random, kinds, list_key, most, must):
    """None, one, or a sequence of up to `most`; `must` is in it."""
    if must is None and random.random() < 0.2:
        return None
    names = random.choices(list(kinds), k=random.choice([0, 0, 1, 1, 2, most - 1]))
    names.insert(random.randrange(len(names) + 1), must or random.choice(list(kinds)))
    stages = [{"type": name, **kinds[name](random)} for name in names]
    if len(stages) == 1 and flag(random):
        return stages[0]
    return {"type": "Sequence", list_key: stages}


def pieces(random, n):
    """Texts that are worth being tokens: parts of words, and single characters."""
    found = {}
    for word in texts.WORDS + [MARK + word for word in texts.WORDS]:
        for _ in range(3):
            begin = random.randrange(len(word))
            found[word[begin:begin + random.randrange(1, 5)]] = None
    for character in "abcdefghijklmnopqrstuvwxyzABCDE0123456789 .,'éあ日가▁_-\n" + "".join(map(chr, range(0x100, 0x144))):
        if random.random() < 0.8:
            found[character] = None
    return random.sample(list(found), min(n, len(found)))


def byte_tokens(random):
    return [f"<0x{byte:02X}>" for byte in range(256) if random.random() < 0.98] if flag(random) else []


def unique(tokens):
    return list(dict.fromkeys(token for token in tokens if token))


def word_level(random):
    tokens = unique(["<unk>"] + texts.WORDS + pieces(random, 200))
    return {"type": "WordLevel", "vocab": {token: i for i, token in enumerate(tokens)}, "unk_token": "<unk>"}


def word_piece(random):
    prefix = random.choice(["##", "##", "_", ""])
    tokens = unique(["<unk>"] + pieces(random, 300) + [prefix + piece for piece in pieces(random, 300)])
    return {"type": "WordPiece", "vocab": {token: i for i, token in enumerate(tokens)}, "unk_token": "<unk>",
            "continuing_subword_prefix": prefix, "max_input_chars_per_word": random.choice([100, 100, 5, 20])}


def unigram(random):
    # few different scores make ties, long ones test how they are read
    score = random.choice([lambda: -random.randrange(1, 6), lambda: -random.random() * 15, lambda: random.random() - 0.7])
    tokens = unique(["<unk>"] + byte_tokens(random) + pieces(random, 500))
    vocab = [[token, score()] for token in tokens]
    if random.random() < 0.2:
        vocab += [[token, score()] for token in random.sample(tokens, 5)]
    return {"type": "Unigram", "vocab": vocab, "unk_id": 0, "byte_fallback": flag(random)}


def bpe(random):
    prefix, suffix = random.choice([(None, None)] * 4 + [("##", None), (None, "</w>"), ("##", "</w>")])
    fallback = byte_tokens(random) if prefix is None and suffix is None else []
    single = unique([piece for piece in pieces(random, 600) if len(piece) == 1])
    tokens = unique(["<unk>"] + fallback + single + [(prefix or "") + one for one in single]
                    + [one + (suffix or "") for one in single] + [(prefix or "") + one + (suffix or "") for one in single])
    known, merges = set(tokens), []
    for _ in range(random.randrange(400)):
        left, right = random.choice(tokens[1 + len(fallback):]), random.choice(tokens[1 + len(fallback):])
        if suffix and left.endswith(suffix) or prefix and not right.startswith(prefix):
            continue
        whole = left + (right[len(prefix):] if prefix else right)
        if len(whole) > 8 or whole == left:
            continue
        merges.append([left, right])
        if whole not in known:
            known.add(whole)
            tokens.append(whole)
    return {"type": "BPE", "dropout": None, "unk_token": random.choice([None, "<unk>"]),
            "continuing_subword_prefix": prefix, "end_of_word_suffix": suffix, "fuse_unk": flag(random),
            "byte_fallback": bool(fallback) and flag(random), "ignore_merges": random.random() < 0.2,
            "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}


MODELS = {"BPE": bpe, "Unigram": unigram, "WordPiece": word_piece, "WordLevel": word_level}


def vocabulary(model):
    if model["type"] == "Unigram":
        return {token: i for i, (token, _) in enumerate(model["vocab"])}, len(model["vocab"])
    return model["vocab"], len(model["vocab"])


def added_tokens(random, model):
    known, n = vocabulary(model)
    tokens = []
    for content in random.sample(SPECIAL + ADDED, random.randrange(8)):
        special = content in SPECIAL
        if content not in known:
            n += 1
        tokens.append({"id": known.get(content, n - 1), "content": content, "special": special,
                       "single_word": random.random() < 0.2, "lstrip": random.random() < 0.2,
                       "rstrip": random.random() < 0.2, "normalized": flag(random)})
    return tokens


def post_processor(random, model):
    known, _ = vocabulary(model)
    one, two = (random.choice(list(known.items())) for _ in range(2))
    template = {"type": "TemplateProcessing", "pair": [],
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
                + [{"SpecialToken": {"id": "</s>", "type_id": 0}}] * random.randrange(3),
                "special_tokens": {"<s>": {"id": "<s>", "ids": [one[1]], "tokens": [one[0]]},
                                   "</s>": {"id": "</s>", "ids": [two[1], one[1]], "tokens": [two[0], one[0]]}}}
    kinds = [template, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": flag(random), "use_regex": True},
             {"type": "BertProcessing", "sep": list(two), "cls": list(one)},
             {"type": "RobertaProcessing", "sep": list(two), "cls": list(one), "trim_offsets": flag(random),
              "add_prefix_space": True}]
    if random.random() < 0.3:
        return None
    if flag(random):
        return random.choice(kinds)
    # a template comes last: to what is behind it each of its tokens is a text of its own
    return {"type": "Sequence", "processors": random.sample(kinds[1:], random.randrange(1, 3)) + kinds[:random.randrange(2)]}


def usual(random, name, model):
    """Half of the tokenizers have the stages that go with their model."""
    if name == "WordPiece":
        return ("BertNormalizer", "BertPreTokenizer", "WordPiece")
    if name == "Unigram":
        return ("Precompiled", "Metaspace", "Metaspace")
    if name == "BPE" and model["end_of_word_suffix"]:
        return ("NFC", "Whitespace", "BPEDecoder")
    return random.choice([("NFC", "ByteLevel", "ByteLevel"), ("Replace", "Metaspace", "ByteFallback")])


def tokenizer(random, number):
    """`number` makes every kind of stage appear, whatever is drawn."""
    name = list(MODELS)[number % len(MODELS)]
    model = MODELS[name](random)
    musts = [list(kinds)[number // 4 % len(kinds)] for kinds in (NORMALIZERS, PRE_TOKENIZERS, DECODERS)]
    if flag(random):
        musts = usual(random, name, model)
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens(random, model),
            "normalizer": chain(random, NORMALIZERS, "normalizers", 4, random.choice([None, musts[0]])),
            "pre_tokenizer": chain(random, PRE_TOKENIZERS, "pretokenizers", 4, random.choice([None, musts[1], musts[1]])),
            "post_processor": post_processor(random, model),
            "decoder": chain(random, DECODERS, "decoders", 5, random.choice([None, musts[2], musts[2]])),
            "model": model}


def single_stages():
    """(key of the file, a stage, what stands around a character) for all that look at characters one by one."""
    names = ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"]
    bert = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    normalizers = [{"type": name} for name in names] + [{"type": "Strip", "strip_left": True, "strip_right": True}]
    normalizers += [{"type": "BertNormalizer", **bert, flag: True} for flag in bert]
    # one character for all that begin with the same byte: shows where clusters end
    lead_bytes = {bytes([byte]): "Y" for byte in range(0xC2, 0xF5)}
    clusters = {"type": "Precompiled", "precompiled_charsmap": charsmap({**lead_bytes, b"a": "X"})}
    splits = [{"type": "Whitespace"}, {"type": "BertPreTokenizer"}, {"type": "UnicodeScripts"},
              {"type": "Digits", "individual_digits": True}]
    splits += [{"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
               for regex in (r"\w", r"[^\w\s]", r"\p{L}", r"\p{N}", r"\p{P}", r"\p{S}", r"\p{M}", r"\p{Han}", r"\s", r"\b")]
    for stage in normalizers:
        yield "normalizer", stage, "*"
    for around in ("a*b", "*\u0300", "\u0915\u094d*\u0300", "\u0915*\u0924\u0300"):
        yield "normalizer", clusters, around
    for stage in splits:
        yield "pre_tokenizer", stage, "a*b"


def byte_tokenizer(normalizer=None, pre_tokenizer=None):
    visible = [byte for byte in range(256) if 0x20 < byte < 0x7F or byte > 0xA0 and byte != 0xAD]
    hidden = [byte for byte in range(256) if byte not in visible]
    vocab = {chr(byte): byte for byte in visible} | {chr(0x100 + i): byte for i, byte in enumerate(hidden)}
    words = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}
    stages = [words] if pre_tokenizer is None else [pre_tokenizer, words]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": normalizer,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": stages}, "post_processor": None, "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": []}}
