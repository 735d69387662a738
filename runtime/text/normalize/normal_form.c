/* Nearly all text is made of characters that stay as they are and never join the one before. Only
 * what lies between such characters goes through decomposition, ordering and composition: a
 * segment is the last of them and all that follows until the next. */
#include "runtime/text/normalize/normal_form.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/unicode.h"

#include <string.h>
#include <utf8proc.h>

enum {
    MAX_DECOMPOSED = 18, /* the longest decomposition of one character, U+FDFA */
    N_CLASSES = 256,
    SHORT_RUN = 16, /* marks; real text has at most a handful */
};

#define IN(runs, c) unicode_in(runs, sizeof runs / sizeof *runs, c)

/* Marks and compositions that came after Unicode 9.0: to the reference library they are characters
 * like any other. */
static bool is_young(uint32_t c)
{
    static const struct unicode_run runs[] = {
        {0x07FD, 0x07FD},   {0x0897, 0x089F},   {0x08CA, 0x08D3},   {0x09FE, 0x09FE},
        {0x0C3C, 0x0C3C},   {0x0D3B, 0x0D3C},   {0x0EBA, 0x0EBA},   {0x1715, 0x1715},
        {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x105C9, 0x105C9},
        {0x105D2, 0x105D2}, {0x105DA, 0x105DA}, {0x105E4, 0x105E4}, {0x10D24, 0x10D27},
        {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC}, {0x10EFC, 0x10EFF}, {0x10F46, 0x10F50},
        {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x11383, 0x11383},
        {0x11385, 0x11385}, {0x1138E, 0x1138E}, {0x11391, 0x11391}, {0x113B8, 0x113B8},
        {0x113BB, 0x113BB}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5}, {0x113C7, 0x113C9},
        {0x113CE, 0x113D0}, {0x113E1, 0x113E2}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
        {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
        {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
        {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42},
        {0x1611E, 0x16128}, {0x1612F, 0x1612F}, {0x16D63, 0x16D63}, {0x16D67, 0x16D6A},
        {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
        {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF},
    };
    return IN(runs, c);
}

/* The same for compatibility decompositions, which are older: these came after Unicode 12.0. */
static bool is_young_compatible(uint32_t c)
{
    static const struct unicode_run runs[] = {
        {0x32FF, 0x32FF},   {0xA7F1, 0xA7F4},   {0xAB69, 0xAB69},   {0x10781, 0x107BA},
        {0x1CCD6, 0x1CCF9}, {0x1E030, 0x1E06D}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9},
    };
    return IN(runs, c);
}

/* Starters that normalize to themselves and are second in no composition. Not all of them: the
 * scripts in which most text is written. U+11A7 is here because utf8proc takes it for a final
 * consonant, which begin one later. */
static bool stays_composed(uint32_t c)
{
    static const struct unicode_run runs[] = {
        {0x0000, 0x02FF},   {0x0400, 0x0482}, {0x048A, 0x052F}, {0x05D0, 0x05EA}, {0x0620, 0x064A},
        {0x0E01, 0x0E30},   {0x11A7, 0x11A7}, {0x1E00, 0x1EFF}, {0x2010, 0x2027}, {0x20A0, 0x20BF},
        {0x2190, 0x21FF},   {0x2500, 0x27BF}, {0x3000, 0x3029}, {0x3041, 0x3096}, {0x309D, 0x30FF},
        {0x3400, 0x4DBF},   {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xFE00, 0xFE0F}, {0xFF01, 0xFF9D},
        {0x1F300, 0x1FAFF},
    };
    return IN(runs, c) || is_young(c);
}

/* The same without what has a compatibility decomposition. */
static bool stays_compatible(uint32_t c)
{
    static const struct unicode_run runs[] = {
        {0x0000, 0x009F}, {0x00A1, 0x00A7}, {0x00AB, 0x00AE},   {0x00B6, 0x00B7}, {0x00BF, 0x0131},
        {0x0180, 0x01C3}, {0x01F4, 0x02AF}, {0x0400, 0x0482},   {0x048A, 0x052F}, {0x05D0, 0x05EA},
        {0x0620, 0x064A}, {0x0E01, 0x0E30}, {0x11A7, 0x11A7},   {0x1E00, 0x1E99}, {0x1E9C, 0x1EFF},
        {0x2012, 0x2016}, {0x2018, 0x2023}, {0x20A9, 0x20BF},   {0x2190, 0x21FF}, {0x2500, 0x27BF},
        {0x3001, 0x3029}, {0x3041, 0x3096}, {0x30A1, 0x30FA},   {0x3400, 0x4DBF}, {0x4E00, 0x9FFF},
        {0xAC00, 0xD7A3}, {0xFE00, 0xFE0F}, {0x1F300, 0x1FAFF},
    };
    return IN(runs, c) || is_young(c);
}

/* Starters without any decomposition: of them too only the common ones. */
static bool stays_decomposed(uint32_t c)
{
    static const struct unicode_run runs[] = {
        {0x0000, 0x009F}, {0x00A1, 0x00A7}, {0x00AB, 0x00AE}, {0x00B6, 0x00B7}, {0x00BF, 0x00BF},
        {0x00DE, 0x00DF}, {0x0410, 0x0418}, {0x041A, 0x0438}, {0x043A, 0x044F}, {0x05D0, 0x05EA},
        {0x0627, 0x064A}, {0x0E01, 0x0E30}, {0x2012, 0x2016}, {0x2018, 0x2023}, {0x2500, 0x27BF},
        {0x3001, 0x3029}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xFE00, 0xFE0F}, {0x1F300, 0x1FAFF},
    };
    return IN(runs, c) || is_young(c);
}

static bool stays(enum normal_form form, uint32_t c)
{
    switch (form) {
    case NORMAL_FORM_C:
        return stays_composed(c);
    case NORMAL_FORM_KC:
        return stays_compatible(c);
    case NORMAL_FORM_D:
    case NORMAL_FORM_KD:
        break;
    }
    return stays_decomposed(c);
}

static void add_decomposed(enum normal_form form, struct normal_form_work *work, uint32_t c)
{
    if (work->capacity - work->n_chars < MAX_DECOMPOSED) {
        work->capacity = work->capacity ? work->capacity * 2 : 256;
        work->chars = memory_resize(work->chars, work->capacity, sizeof *work->chars);
        work->sorted = memory_resize(work->sorted, work->capacity, sizeof *work->sorted);
        work->classes = memory_resize(work->classes, work->capacity, 1);
    }
    const bool compatible = form == NORMAL_FORM_KC || form == NORMAL_FORM_KD;
    if (is_young(c) || (compatible && is_young_compatible(c))) {
        work->chars[work->n_chars] = (int32_t)c;
        work->classes[work->n_chars++] = 0;
        return;
    }
    int boundary = 0;
    const utf8proc_option_t options =
        UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0);
    const utf8proc_ssize_t n = utf8proc_decompose_char((int32_t)c, work->chars + work->n_chars,
                                                       MAX_DECOMPOSED, options, &boundary);
    check(n >= 1 && n <= MAX_DECOMPOSED);
    for (utf8proc_ssize_t i = 0; i < n; i++, work->n_chars++)
        work->classes[work->n_chars] =
            (unsigned char)utf8proc_get_property(work->chars[work->n_chars])->combining_class;
}

/* Stable, by class. */
static void sort_short(int32_t *chars, unsigned char *classes, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const int32_t c = chars[i];
        const unsigned char class = classes[i];
        size_t to = i;
        for (; to > 0 && classes[to - 1] > class; to--) {
            chars[to] = chars[to - 1];
            classes[to] = classes[to - 1];
        }
        chars[to] = c;
        classes[to] = class;
    }
}

static void sort_long(int32_t *chars, const unsigned char *classes, int32_t *sorted, size_t n)
{
    size_t place[N_CLASSES + 1] = {0};
    for (size_t i = 0; i < n; i++)
        place[classes[i] + 1]++;
    for (int class = 0; class < N_CLASSES; class ++)
        place[class + 1] += place[class];
    for (size_t i = 0; i < n; i++)
        sorted[place[classes[i]]++] = chars[i];
    memcpy(chars, sorted, n * sizeof *chars);
}

/* Every run of marks in order of class. */
static void order_marks(struct normal_form_work *work)
{
    for (size_t begin = 0; begin < work->n_chars;) {
        if (work->classes[begin] == 0) {
            begin++;
            continue;
        }
        size_t end = begin + 1;
        while (end < work->n_chars && work->classes[end] != 0)
            end++;
        if (end - begin <= SHORT_RUN)
            sort_short(work->chars + begin, work->classes + begin, end - begin);
        else
            sort_long(work->chars + begin, work->classes + begin, work->sorted, end - begin);
        begin = end;
    }
}

static void run_segment(enum normal_form form, struct normal_form_work *work, const char *text,
                        size_t n_bytes, struct bytes *out)
{
    work->n_chars = 0;
    for (size_t at = 0; at < n_bytes;)
        add_decomposed(form, work, utf8_read(text, &at));
    order_marks(work);
    utf8proc_ssize_t n = (utf8proc_ssize_t)work->n_chars;
    if (form == NORMAL_FORM_C || form == NORMAL_FORM_KC)
        n = utf8proc_normalize_utf32(work->chars, n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    check(n >= 0);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char one[4];
        bytes_add(out, one, utf8_write(one, (uint32_t)work->chars[i]));
    }
}

bool normal_form_run(enum normal_form form, struct normal_form_work *work, const char *text,
                     size_t n_bytes, struct bytes *out)
{
    const size_t before = out->len;
    size_t done = 0;    /* text[0, done) is in out */
    size_t staying = 0; /* where the last character that stays begins */
    for (size_t at = 0; at < n_bytes;) {
        const size_t begin = at;
        if ((unsigned char)text[at] < 0x80 || stays(form, utf8_read(text, &at))) {
            staying = begin;
            at = at > begin ? at : at + 1;
            continue;
        }
        size_t end = at;
        while (at < n_bytes && !stays(form, utf8_read(text, &at)))
            end = at;
        bytes_add(out, text + done, staying - done);
        run_segment(form, work, text + staying, end - staying, out);
        done = staying = at = end;
    }
    if (done == 0)
        return false;
    bytes_add(out, text + done, n_bytes - done);
    if (out->len - before == n_bytes && memcmp(out->data + before, text, n_bytes) == 0) {
        out->len = before;
        return false;
    }
    return true;
}

void normal_form_work_release(struct normal_form_work *work)
{
    memory_free(work->chars);
    memory_free(work->sorted);
    memory_free(work->classes);
    *work = (struct normal_form_work){0};
}
