/* Cases of texts.
 *
 * utf8proc maps one character to one. Where Unicode maps to several, the table below says how; and
 * the Greek capital sigma becomes another letter at the end of a word. A character that comes out
 * of a character of the users is the users'.
 *
 * Source: SpecialCasing.txt of Unicode 14.0 (unconditional mappings, and Final_Sigma);
 * DerivedCoreProperties.txt (Case_Ignorable); str.title and str.capitalize of CPython 3.11.
 */
#include "runtime/jinja/values/letter_case.h"

#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

#include <utf8proc.h>

struct special_case {
    uint32_t c, upper[3], title[3]; /* up to a 0 */
};

static const struct special_case special_cases[] = {
    /* clang-format off */
    {0x00DF, {0x0053, 0x0053}, {0x0053, 0x0073}},
    {0x0149, {0x02BC, 0x004E}, {0x02BC, 0x004E}},
    {0x01F0, {0x004A, 0x030C}, {0x004A, 0x030C}},
    {0x0390, {0x0399, 0x0308, 0x0301}, {0x0399, 0x0308, 0x0301}},
    {0x03B0, {0x03A5, 0x0308, 0x0301}, {0x03A5, 0x0308, 0x0301}},
    {0x0587, {0x0535, 0x0552}, {0x0535, 0x0582}},
    {0x1E96, {0x0048, 0x0331}, {0x0048, 0x0331}},
    {0x1E97, {0x0054, 0x0308}, {0x0054, 0x0308}},
    {0x1E98, {0x0057, 0x030A}, {0x0057, 0x030A}},
    {0x1E99, {0x0059, 0x030A}, {0x0059, 0x030A}},
    {0x1E9A, {0x0041, 0x02BE}, {0x0041, 0x02BE}},
    {0x1F50, {0x03A5, 0x0313}, {0x03A5, 0x0313}},
    {0x1F52, {0x03A5, 0x0313, 0x0300}, {0x03A5, 0x0313, 0x0300}},
    {0x1F54, {0x03A5, 0x0313, 0x0301}, {0x03A5, 0x0313, 0x0301}},
    {0x1F56, {0x03A5, 0x0313, 0x0342}, {0x03A5, 0x0313, 0x0342}},
    {0x1F80, {0x1F08, 0x0399}, {0x1F88}},
    {0x1F81, {0x1F09, 0x0399}, {0x1F89}},
    {0x1F82, {0x1F0A, 0x0399}, {0x1F8A}},
    {0x1F83, {0x1F0B, 0x0399}, {0x1F8B}},
    {0x1F84, {0x1F0C, 0x0399}, {0x1F8C}},
    {0x1F85, {0x1F0D, 0x0399}, {0x1F8D}},
    {0x1F86, {0x1F0E, 0x0399}, {0x1F8E}},
    {0x1F87, {0x1F0F, 0x0399}, {0x1F8F}},
    {0x1F88, {0x1F08, 0x0399}, {0x1F88}},
    {0x1F89, {0x1F09, 0x0399}, {0x1F89}},
    {0x1F8A, {0x1F0A, 0x0399}, {0x1F8A}},
    {0x1F8B, {0x1F0B, 0x0399}, {0x1F8B}},
    {0x1F8C, {0x1F0C, 0x0399}, {0x1F8C}},
    {0x1F8D, {0x1F0D, 0x0399}, {0x1F8D}},
    {0x1F8E, {0x1F0E, 0x0399}, {0x1F8E}},
    {0x1F8F, {0x1F0F, 0x0399}, {0x1F8F}},
    {0x1F90, {0x1F28, 0x0399}, {0x1F98}},
    {0x1F91, {0x1F29, 0x0399}, {0x1F99}},
    {0x1F92, {0x1F2A, 0x0399}, {0x1F9A}},
    {0x1F93, {0x1F2B, 0x0399}, {0x1F9B}},
    {0x1F94, {0x1F2C, 0x0399}, {0x1F9C}},
    {0x1F95, {0x1F2D, 0x0399}, {0x1F9D}},
    {0x1F96, {0x1F2E, 0x0399}, {0x1F9E}},
    {0x1F97, {0x1F2F, 0x0399}, {0x1F9F}},
    {0x1F98, {0x1F28, 0x0399}, {0x1F98}},
    {0x1F99, {0x1F29, 0x0399}, {0x1F99}},
    {0x1F9A, {0x1F2A, 0x0399}, {0x1F9A}},
    {0x1F9B, {0x1F2B, 0x0399}, {0x1F9B}},
    {0x1F9C, {0x1F2C, 0x0399}, {0x1F9C}},
    {0x1F9D, {0x1F2D, 0x0399}, {0x1F9D}},
    {0x1F9E, {0x1F2E, 0x0399}, {0x1F9E}},
    {0x1F9F, {0x1F2F, 0x0399}, {0x1F9F}},
    {0x1FA0, {0x1F68, 0x0399}, {0x1FA8}},
    {0x1FA1, {0x1F69, 0x0399}, {0x1FA9}},
    {0x1FA2, {0x1F6A, 0x0399}, {0x1FAA}},
    {0x1FA3, {0x1F6B, 0x0399}, {0x1FAB}},
    {0x1FA4, {0x1F6C, 0x0399}, {0x1FAC}},
    {0x1FA5, {0x1F6D, 0x0399}, {0x1FAD}},
    {0x1FA6, {0x1F6E, 0x0399}, {0x1FAE}},
    {0x1FA7, {0x1F6F, 0x0399}, {0x1FAF}},
    {0x1FA8, {0x1F68, 0x0399}, {0x1FA8}},
    {0x1FA9, {0x1F69, 0x0399}, {0x1FA9}},
    {0x1FAA, {0x1F6A, 0x0399}, {0x1FAA}},
    {0x1FAB, {0x1F6B, 0x0399}, {0x1FAB}},
    {0x1FAC, {0x1F6C, 0x0399}, {0x1FAC}},
    {0x1FAD, {0x1F6D, 0x0399}, {0x1FAD}},
    {0x1FAE, {0x1F6E, 0x0399}, {0x1FAE}},
    {0x1FAF, {0x1F6F, 0x0399}, {0x1FAF}},
    {0x1FB2, {0x1FBA, 0x0399}, {0x1FBA, 0x0345}},
    {0x1FB3, {0x0391, 0x0399}, {0x1FBC}},
    {0x1FB4, {0x0386, 0x0399}, {0x0386, 0x0345}},
    {0x1FB6, {0x0391, 0x0342}, {0x0391, 0x0342}},
    {0x1FB7, {0x0391, 0x0342, 0x0399}, {0x0391, 0x0342, 0x0345}},
    {0x1FBC, {0x0391, 0x0399}, {0x1FBC}},
    {0x1FC2, {0x1FCA, 0x0399}, {0x1FCA, 0x0345}},
    {0x1FC3, {0x0397, 0x0399}, {0x1FCC}},
    {0x1FC4, {0x0389, 0x0399}, {0x0389, 0x0345}},
    {0x1FC6, {0x0397, 0x0342}, {0x0397, 0x0342}},
    {0x1FC7, {0x0397, 0x0342, 0x0399}, {0x0397, 0x0342, 0x0345}},
    {0x1FCC, {0x0397, 0x0399}, {0x1FCC}},
    {0x1FD2, {0x0399, 0x0308, 0x0300}, {0x0399, 0x0308, 0x0300}},
    {0x1FD3, {0x0399, 0x0308, 0x0301}, {0x0399, 0x0308, 0x0301}},
    {0x1FD6, {0x0399, 0x0342}, {0x0399, 0x0342}},
    {0x1FD7, {0x0399, 0x0308, 0x0342}, {0x0399, 0x0308, 0x0342}},
    {0x1FE2, {0x03A5, 0x0308, 0x0300}, {0x03A5, 0x0308, 0x0300}},
    {0x1FE3, {0x03A5, 0x0308, 0x0301}, {0x03A5, 0x0308, 0x0301}},
    {0x1FE4, {0x03A1, 0x0313}, {0x03A1, 0x0313}},
    {0x1FE6, {0x03A5, 0x0342}, {0x03A5, 0x0342}},
    {0x1FE7, {0x03A5, 0x0308, 0x0342}, {0x03A5, 0x0308, 0x0342}},
    {0x1FF2, {0x1FFA, 0x0399}, {0x1FFA, 0x0345}},
    {0x1FF3, {0x03A9, 0x0399}, {0x1FFC}},
    {0x1FF4, {0x038F, 0x0399}, {0x038F, 0x0345}},
    {0x1FF6, {0x03A9, 0x0342}, {0x03A9, 0x0342}},
    {0x1FF7, {0x03A9, 0x0342, 0x0399}, {0x03A9, 0x0342, 0x0345}},
    {0x1FFC, {0x03A9, 0x0399}, {0x1FFC}},
    {0xFB00, {0x0046, 0x0046}, {0x0046, 0x0066}},
    {0xFB01, {0x0046, 0x0049}, {0x0046, 0x0069}},
    {0xFB02, {0x0046, 0x004C}, {0x0046, 0x006C}},
    {0xFB03, {0x0046, 0x0046, 0x0049}, {0x0046, 0x0066, 0x0069}},
    {0xFB04, {0x0046, 0x0046, 0x004C}, {0x0046, 0x0066, 0x006C}},
    {0xFB05, {0x0053, 0x0054}, {0x0053, 0x0074}},
    {0xFB06, {0x0053, 0x0054}, {0x0053, 0x0074}},
    {0xFB13, {0x0544, 0x0546}, {0x0544, 0x0576}},
    {0xFB14, {0x0544, 0x0535}, {0x0544, 0x0565}},
    {0xFB15, {0x0544, 0x053B}, {0x0544, 0x056B}},
    {0xFB16, {0x054E, 0x0546}, {0x054E, 0x0576}},
    {0xFB17, {0x0544, 0x053D}, {0x0544, 0x056D}},
    /* clang-format on */
};

enum {
    CAPITAL_SIGMA = 0x03A3,
    SMALL_SIGMA = 0x03C3,
    FINAL_SIGMA = 0x03C2,
    DOTTED_CAPITAL_I = 0x130
};

static const uint32_t *find_special(uint32_t c, bool title)
{
    size_t low = 0, high = sizeof special_cases / sizeof *special_cases;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const struct special_case *row = &special_cases[middle];
        if (row->c == c)
            return title ? row->title : row->upper;
        if (row->c < c)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* How many characters `c` becomes, at least 1; `to` is one of the first four. Sigma is not looked
 * at: at the end of a word it becomes another letter. */
static int char_to_case(uint32_t c, enum letter_case to, uint32_t out[3])
{
    if (c < 0x80) {
        const bool up = to == CASE_UPPER || to == CASE_TITLE;
        out[0] = up && c >= 'a' && c <= 'z' ? c - 32 : !up && c >= 'A' && c <= 'Z' ? c + 32 : c;
        return 1;
    }
    if (to == CASE_FOLD) {
        utf8proc_int32_t folded[3] = {(utf8proc_int32_t)c};
        int boundary = 0;
        const utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)c, folded, 3, UTF8PROC_CASEFOLD, &boundary);
        for (int i = 0; i < 3; i++)
            out[i] = (uint32_t)folded[i];
        return n >= 1 && n <= 3 ? (int)n : 1;
    }
    if (to == CASE_LOWER && c == DOTTED_CAPITAL_I) {
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    const uint32_t *special = to == CASE_LOWER ? NULL : find_special(c, to == CASE_TITLE);
    if (special != NULL) {
        int n = 0;
        for (; n < 3 && special[n] != 0; n++)
            out[n] = special[n];
        return n;
    }
    const utf8proc_int32_t from = (utf8proc_int32_t)c;
    out[0] = (uint32_t)(to == CASE_LOWER   ? utf8proc_tolower(from)
                        : to == CASE_UPPER ? utf8proc_toupper(from)
                                           : utf8proc_totitle(from));
    return 1;
}

static bool char_is_cased(uint32_t c)
{
    return char_is_lower(c) || char_is_upper(c) || char_is_title(c);
}

bool char_is_word(uint32_t c)
{
    return c == '_' || char_is_alpha(c) || char_is_decimal(c) || char_is_digit(c) ||
           char_is_numeric(c);
}

/* Case_Ignorable: marks, modifiers, format characters, and punctuation within words. */
static bool is_ignorable(uint32_t c)
{
    static const uint32_t in_words[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,
                                        0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                        0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    for (size_t i = 0; i < sizeof in_words / sizeof *in_words; i++)
        if (in_words[i] == c)
            return true;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return false;
    }
}

/* Whether the capital sigma that begins at byte `at` ends a word: a cased letter is before it and
 * none behind, apart from what is ignorable. */
static bool ends_word(const struct string *s, size_t at)
{
    bool before = false, behind = false;
    for (size_t i = at; i > 0 && !before;) {
        i = utf8_before(s->data, i);
        size_t next = i;
        const uint32_t c = utf8_read(s->data, &next);
        before = char_is_cased(c) && !is_ignorable(c);
        if (!before && !is_ignorable(c))
            return false;
    }
    for (size_t i = at + 2; i < s->n_bytes && !behind;) { /* it has 2 bytes in UTF-8 */
        const uint32_t c = utf8_read(s->data, &i);
        behind = char_is_cased(c) && !is_ignorable(c);
        if (!behind && !is_ignorable(c))
            break;
    }
    return before && !behind;
}

static bool add_in_case(struct builder *b, const struct string *s, size_t at, uint32_t c,
                        enum letter_case to, bool user)
{
    uint32_t mapped[3];
    int n = 1;
    if (c == CAPITAL_SIGMA && to == CASE_LOWER)
        mapped[0] = ends_word(s, at) ? FINAL_SIGMA : SMALL_SIGMA;
    else
        n = char_to_case(c, to, mapped);
    for (int i = 0; i < n; i++)
        if (!builder_add_char(b, mapped[i], user))
            return false;
    return true;
}

bool text_to_case(struct run *r, const struct string *s, enum letter_case to, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    b.safe = s->safe;
    struct text_walk walk = {.string = s};
    uint32_t c;
    bool user, was_cased = false, is_first = true;
    if (!run_step(r, s->n_bytes / TEXT_ASKED_BYTES_PER_STEP))
        return false;
    for (size_t at = 0; text_walk_next(&walk, &c, &user); at = walk.at) {
        enum letter_case now = to;
        if (to == CASE_WORDS)
            now = was_cased ? CASE_LOWER : CASE_TITLE;
        else if (to == CASE_SENTENCE)
            now = is_first ? CASE_TITLE : CASE_LOWER;
        else if (to == CASE_SWAPPED && !char_is_upper(c) && !char_is_lower(c))
            now = CASE_NONE;
        else if (to == CASE_SWAPPED)
            now = char_is_upper(c) ? CASE_LOWER : CASE_UPPER;
        if (now == CASE_NONE ? !builder_add_char(&b, c, user)
                             : !add_in_case(&b, s, at, c, now, user))
            return false;
        was_cased = to == CASE_WORDS && char_is_cased(c);
        is_first = false;
    }
    return builder_end(&b, out);
}
