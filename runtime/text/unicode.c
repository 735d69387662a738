/* Only categories matter to the patterns that tokenizers are made of, and whether an ideograph is
 * Han; so a new character is replaced by an old one of the same category, before a pattern looks at
 * the text. It has as many bytes, so all positions stay. */
#include "runtime/text/unicode.h"

#include "base/bytes.h"
#include "base/utf8.h"

#include <utf8proc.h>

enum category { LU, LL, LM, LO, HAN, ND, NO, MN, MC, PD, PO, SM, SO, CF };

static const struct {
    uint32_t three_bytes, four_bytes;
} stand_ins[] = {
    [LU] = {0x10A0, 0x10400}, [LL] = {0x1E01, 0x10428},  [LM] = {0x3005, 0x16B40},
    [LO] = {0x1A00, 0x10000}, [HAN] = {0x4E00, 0x20000}, [ND] = {0x0966, 0x104A0},
    [NO] = {0x2460, 0x10107}, [MN] = {0x20D0, 0x1D167},  [MC] = {0x0903, 0x11000},
    [PD] = {0x2010, 0x10EAD}, [PO] = {0x2020, 0x10100},  [SM] = {0x2200, 0x1D6C1},
    [SO] = {0x2300, 0x1F300}, [CF] = {0x200B, 0x110BD},
};

/* What Unicode 15.0, 15.1 and 16.0 added to 14.0; ascending. And U+180E, which PCRE2 holds for a
 * space although Unicode does not since 6.3. */
static const struct {
    uint32_t first, last;
    enum category category;
} added[] = {
    {0x0897, 0x0897, MN},    {0x0CF3, 0x0CF3, MC},    {0x0ECE, 0x0ECE, MN},
    {0x180E, 0x180E, CF},    {0x1B4E, 0x1B4F, PO},    {0x1B7F, 0x1B7F, PO},
    {0x1C89, 0x1C89, LU},    {0x1C8A, 0x1C8A, LL},    {0x2427, 0x2429, SO},
    {0x2FFC, 0x2FFF, SO},    {0x31E4, 0x31E5, SO},    {0x31EF, 0x31EF, SO},
    {0xA7CB, 0xA7CC, LU},    {0xA7CD, 0xA7CD, LL},    {0xA7DA, 0xA7DA, LU},
    {0xA7DB, 0xA7DB, LL},    {0xA7DC, 0xA7DC, LU},    {0x105C0, 0x105F3, LO},
    {0x10D40, 0x10D49, ND},  {0x10D4A, 0x10D4D, LO},  {0x10D4E, 0x10D4E, LM},
    {0x10D4F, 0x10D4F, LO},  {0x10D50, 0x10D65, LU},  {0x10D69, 0x10D6D, MN},
    {0x10D6E, 0x10D6E, PD},  {0x10D6F, 0x10D6F, LM},  {0x10D70, 0x10D85, LL},
    {0x10D8E, 0x10D8F, SM},  {0x10EC2, 0x10EC4, LO},  {0x10EFC, 0x10EFF, MN},
    {0x1123F, 0x11240, LO},  {0x11241, 0x11241, MN},  {0x11380, 0x11389, LO},
    {0x1138B, 0x1138B, LO},  {0x1138E, 0x1138E, LO},  {0x11390, 0x113B5, LO},
    {0x113B7, 0x113B7, LO},  {0x113B8, 0x113BA, MC},  {0x113BB, 0x113C0, MN},
    {0x113C2, 0x113C2, MC},  {0x113C5, 0x113C5, MC},  {0x113C7, 0x113CA, MC},
    {0x113CC, 0x113CD, MC},  {0x113CE, 0x113CE, MN},  {0x113CF, 0x113CF, MC},
    {0x113D0, 0x113D0, MN},  {0x113D1, 0x113D1, LO},  {0x113D2, 0x113D2, MN},
    {0x113D3, 0x113D3, LO},  {0x113D4, 0x113D5, PO},  {0x113D7, 0x113D8, PO},
    {0x113E1, 0x113E2, MN},  {0x116D0, 0x116E3, ND},  {0x11B00, 0x11B09, PO},
    {0x11BC0, 0x11BE0, LO},  {0x11BE1, 0x11BE1, PO},  {0x11BF0, 0x11BF9, ND},
    {0x11F00, 0x11F01, MN},  {0x11F02, 0x11F02, LO},  {0x11F03, 0x11F03, MC},
    {0x11F04, 0x11F10, LO},  {0x11F12, 0x11F33, LO},  {0x11F34, 0x11F35, MC},
    {0x11F36, 0x11F3A, MN},  {0x11F3E, 0x11F3F, MC},  {0x11F40, 0x11F40, MN},
    {0x11F41, 0x11F41, MC},  {0x11F42, 0x11F42, MN},  {0x11F43, 0x11F4F, PO},
    {0x11F50, 0x11F59, ND},  {0x11F5A, 0x11F5A, MN},  {0x1342F, 0x1342F, LO},
    {0x13439, 0x1343F, CF},  {0x13440, 0x13440, MN},  {0x13441, 0x13446, LO},
    {0x13447, 0x13455, MN},  {0x13460, 0x143FA, LO},  {0x16100, 0x1611D, LO},
    {0x1611E, 0x16129, MN},  {0x1612A, 0x1612C, MC},  {0x1612D, 0x1612F, MN},
    {0x16130, 0x16139, ND},  {0x16D40, 0x16D42, LM},  {0x16D43, 0x16D6A, LO},
    {0x16D6B, 0x16D6C, LM},  {0x16D6D, 0x16D6F, PO},  {0x16D70, 0x16D79, ND},
    {0x18CFF, 0x18CFF, LO},  {0x1B132, 0x1B132, LO},  {0x1B155, 0x1B155, LO},
    {0x1CC00, 0x1CCEF, SO},  {0x1CCF0, 0x1CCF9, ND},  {0x1CD00, 0x1CEB3, SO},
    {0x1D2C0, 0x1D2D3, NO},  {0x1DF25, 0x1DF2A, LL},  {0x1E030, 0x1E06D, LM},
    {0x1E08F, 0x1E08F, MN},  {0x1E4D0, 0x1E4EA, LO},  {0x1E4EB, 0x1E4EB, LM},
    {0x1E4EC, 0x1E4EF, MN},  {0x1E4F0, 0x1E4F9, ND},  {0x1E5D0, 0x1E5ED, LO},
    {0x1E5EE, 0x1E5EF, MN},  {0x1E5F0, 0x1E5F0, LO},  {0x1E5F1, 0x1E5FA, ND},
    {0x1E5FF, 0x1E5FF, PO},  {0x1F6DC, 0x1F6DC, SO},  {0x1F774, 0x1F776, SO},
    {0x1F77B, 0x1F77F, SO},  {0x1F7D9, 0x1F7D9, SO},  {0x1F8B2, 0x1F8BB, SO},
    {0x1F8C0, 0x1F8C1, SO},  {0x1FA75, 0x1FA77, SO},  {0x1FA87, 0x1FA89, SO},
    {0x1FA8F, 0x1FA8F, SO},  {0x1FAAD, 0x1FAAF, SO},  {0x1FABB, 0x1FABF, SO},
    {0x1FAC6, 0x1FAC6, SO},  {0x1FACE, 0x1FACF, SO},  {0x1FADA, 0x1FADC, SO},
    {0x1FADF, 0x1FADF, SO},  {0x1FAE8, 0x1FAE9, SO},  {0x1FAF7, 0x1FAF8, SO},
    {0x1FBCB, 0x1FBEF, SO},  {0x2B739, 0x2B739, HAN}, {0x2EBF0, 0x2EE5D, HAN},
    {0x31350, 0x323AF, HAN},
};

bool unicode_in(const struct unicode_run *runs, size_t n, uint32_t c)
{
    size_t low = 0, high = n;
    while (low < high) { /* the first run that ends at c or later */
        const size_t middle = (low + high) / 2;
        if (runs[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && runs[low].first <= c;
}

uint32_t unicode_stand_in(uint32_t c)
{
    if (c < added[0].first)
        return c;
    size_t low = 0, high = sizeof added / sizeof *added;
    while (low < high) { /* the first run that ends at c or later */
        const size_t middle = (low + high) / 2;
        if (added[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == sizeof added / sizeof *added || added[low].first > c)
        return c;
    const enum category category = added[low].category;
    return c < 0x10000 ? stand_ins[category].three_bytes : stand_ins[category].four_bytes;
}

const char *unicode_settle(const char *text, size_t n_bytes, struct bytes *room)
{
    bool copied = false;
    for (size_t at = 0; at < n_bytes;) {
        if ((unsigned char)text[at] < 0xE0) { /* all below U+0800 is old */
            at++;
            continue;
        }
        const size_t begin = at;
        const uint32_t c = utf8_read(text, &at), old = unicode_stand_in(c);
        if (old == c)
            continue;
        if (!copied) {
            bytes_clear(room);
            bytes_add(room, text, n_bytes);
            copied = true;
        }
        utf8_write(room->data + begin, old);
    }
    return copied ? room->data : text;
}

bool unicode_is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

bool unicode_is_number(uint32_t c)
{
    if (c < 0x80)
        return c >= '0' && c <= '9';
    static const struct unicode_run of_17[] = {{0x11DE0, 0x11DE9}, {0x16FF4, 0x16FF6}};
    if (unicode_in(of_17, sizeof of_17 / sizeof *of_17, c))
        return true;
    const utf8proc_category_t category = utf8proc_category((int32_t)unicode_stand_in(c));
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

bool unicode_is_word(uint32_t c)
{
    if (c < 0x80)
        return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '_';
    switch (utf8proc_category((int32_t)unicode_stand_in(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: /* letters in circles and squares, and the two joiners */
        return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
               (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C ||
               c == 0x200D;
    }
}

int unicode_lower(uint32_t c, uint32_t out[2])
{
    static const struct { /* what came after Unicode 15: runs whose lower case lies `by` away */
        uint32_t first, last;
        int32_t by;
    } young[] = {
        {0x1C89, 0x1C89, 1},    {0xA7CB, 0xA7CB, -42343}, {0xA7CC, 0xA7CC, 1},
        {0xA7CE, 0xA7CE, 1},    {0xA7D2, 0xA7D2, 1},      {0xA7D4, 0xA7D4, 1},
        {0xA7DA, 0xA7DA, 1},    {0xA7DC, 0xA7DC, -42561}, {0x10D50, 0x10D65, 0x20},
        {0x16EA0, 0x16EB8, 27},
    };
    if (c < 0x80) {
        out[0] = c >= 'A' && c <= 'Z' ? c + 0x20 : c;
        return 1;
    }
    if (c == 0x130) { /* I with a dot: i and the dot */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = (uint32_t)utf8proc_tolower((int32_t)c);
    for (size_t i = 0; c >= young[0].first && i < sizeof young / sizeof *young; i++)
        if (c >= young[i].first && c <= young[i].last)
            out[0] = (uint32_t)((int32_t)c + young[i].by);
    return 1;
}
