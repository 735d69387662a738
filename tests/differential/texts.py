"""Texts that tokenizers get wrong: mixed scripts, marks, joiners, blanks, controls, near-misses."""

WORDS = ("the The THE a I don't we'll they're it's I'm you've she'd 'tis hello world Tokenizer "
         "unigram naïve café résumé Straße ΑΒΓ αβγς привет мир שלום مرحبا नमस्ते हिन्दी สวัสดี ภาษา "
         "你好 世界 中文 日本語 ひらがな カタカナ ー ｶﾀｶﾅ 한국어 안녕하세요 ខ្មែរ བོད་ አማርኛ ქართული "
         "1 12 123 1234 3.14 1,000 0x1F １２３ ٣٤٥ ⅷ ½ ² x² ﬁ ﬂ ﷺ Å Å ① ㍿ ℌ 𝔘𝔫𝔦 İstanbul ı "
         "http://a.b/c?d=e&f foo_bar fooBar __init__ #tag @you (a) [b] {c} <d> a/b a\\b a-b a--b "
         "... !? ?! ,, ;; :: '' \"\" `` ~~ ** ++ == -> => <= != && || $5 50% C# a.b.c U.S.A. "
         "do not isn n't ' s").split()
BLANKS = [" "] * 12 + ["  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\xa0",
                       "\u1680", "\u180e", "\u2000", "\u2003", "\u2009", "\u200a", "\u200b", "\u2028",
                       "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", "\u2581", "\u2581\u2581", " \u2581"]
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "👨🏿‍🚀", "🏳️‍🌈", "🇩🇪", "🇩🇪🇫", "❤️", "☺", "©", "©\u200d", "1️⃣", "🫨", "🪿", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\u200d", "\ufe0f"]
MARKS = ["\u0300", "\u0301", "\u0308", "\u0316", "\u0323", "\u0345", "\u034f", "\u0489", "\u05b0", "\u0651", "\u093c",
         "\u094d", "\u0e31", "\u0e33", "\u20d0", "\u3099", "\u309a", "\u1ab0", "\u1ac5", "\u0897", "\u1dfa", "\U0001d165",
         "\U0001e8d0", "\u0f71\u0f72", "\u1161", "\u11a8", "\u11a7", "\u1cf7", "\u0903", "\u0bd7"]
SINGLES = ["\0", "\x01", "\x07", "\x1b", "\x7f", "\x80", "\x9f", "\xad", "\u0600", "\u06dd", "\u070f", "\u08e2",
           "\u061c", "\u2060", "\u2065", "\u2066", "\ud7ff", "\ue000", "\ufdd0", "\ufffd", "\ufffe", "\uffff", "\U0001ffff",
           "\U000e0001", "\U000e0020", "\U000f0000", "\U0010ffff", "\u1100", "\uac00", "\uac01", "\ud7a3", "\u115f",
           "\u0958", "\u0ddd", "\u1e9e", "\u0130", "\u1e9b\u0323", "\ufb1d", "\ufb4e", "\uf900", "\u2126", "\u212a",
           "\u32ff", "\ua7f2", "\U00010781", "\U0001e030", "\U0001f16c", "\U0001fbf0", "\U0001ccd6", "\u1c89", "\ua7cb",
           "\U00010d50", "\U00016ea0", "\U000113d1", "\U00011a3a", "\U00031350", "\u30fc", "\u3006", "\u3007", "\uff5e"]
RANGES = [(0x20, 0x7F), (0, 0x20), (0x80, 0x250), (0x250, 0x600), (0x600, 0x900), (0x900, 0x1100),
          (0x1100, 0x1200), (0x1200, 0x2000), (0x2000, 0x2C00), (0x2C00, 0x3400), (0x3400, 0xA000),
          (0xA000, 0xAC00), (0xAC00, 0xD7A4), (0xD7A4, 0xD800), (0xE000, 0x10000), (0x10000, 0x12000),
          (0x12000, 0x1F000), (0x1F000, 0x20000), (0x20000, 0x32000), (0xE0000, 0xE0200), (0, 0x110000)]


def character(random):
    low, high = random.choice(RANGES)
    code = random.randrange(low, high)
    return chr(code if not 0xD800 <= code < 0xE000 else code + 0x2000)


def near_miss(random, token):
    """A token as it is, or with one thing wrong."""
    kind = random.randrange(8)
    at = random.randrange(len(token) + 1)
    if kind == 0:
        return token[:at]
    if kind == 1:
        return token[:at] + character(random) + token[at:]
    if kind == 2:
        return token.upper() if token.upper() != token else token.lower()
    if kind == 3:
        return random.choice(BLANKS) + token + random.choice(BLANKS)
    if kind == 4:
        return token + token
    return token


def part(random, tokens):
    kind = random.randrange(20)
    if kind < 6:
        return random.choice(WORDS) + random.choice(["", "", " "])
    if kind < 9:
        return random.choice(BLANKS)
    if kind < 10:
        return random.choice(EMOJI)
    if kind < 12:
        return random.choice("aeoAnxক가あ1 ") + "".join(random.choices(MARKS, k=random.randrange(1, 5)))
    if kind < 13:
        return random.choice(SINGLES)
    if kind < 14:
        return "".join(character(random) for _ in range(random.randrange(1, 6)))
    if kind < 16 and tokens:
        return near_miss(random, random.choice(tokens))
    if kind < 17:
        return str(random.randrange(10 ** random.randrange(1, 12)))
    if kind < 18:
        return random.choice(WORDS + BLANKS + EMOJI + MARKS + SINGLES) * random.randrange(2, 40)
    return "".join(random.choices("abcdefgABC 'st\n.", k=random.randrange(1, 12)))


def text(random, tokens):
    return "".join(part(random, tokens) for _ in range(min(random.randrange(1, 12), random.randrange(1, 30))))
