/* wordwrap: lines no longer than a width, cut between words.
 *
 * A line is cut into chunks: words, parts of words with hyphens, dashes, and white space. Lines are
 * filled with whole chunks; white space at the end of a line is dropped, and so is it at the
 * beginning of all lines but the first.
 *
 * Source: the rules of textwrap in CPython 3.11 (documented with TextWrapper).
 */
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/letter_case.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

#include <string.h>

struct wrapping {
    struct run *run;
    const struct string *line;
    size_t n; /* characters */
    const uint32_t *chars;
    const uint32_t *bytes; /* [n + 1] where each begins */
    int64_t width;
    bool break_long, break_on_hyphens;
    const struct string *between;
    struct builder *out;
    bool any_line; /* written for this line of the text */
};

struct chunk { /* characters [begin, end) */
    size_t begin, end;
};

static bool is_space(uint32_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool is_letter(uint32_t c) { return char_is_word(c) && !char_is_decimal(c); }

static bool is_word_or_punctuation(uint32_t c)
{
    return c < 0x80 && c != 0 && strchr("!\"'&.,?", (int)c) != NULL ? true : char_is_word(c);
}

/* Two or more dashes at `at`, a word before and one behind; their end, or 0. */
static size_t dash_end(const struct wrapping *w, size_t at)
{
    size_t end = at;
    if (at == 0 || !is_word_or_punctuation(w->chars[at - 1]))
        return 0;
    while (end < w->n && w->chars[end] == '-')
        end++;
    return end - at >= 2 && end < w->n && char_is_word(w->chars[end]) ? end : 0;
}

/* Whether a word may be cut behind the hyphen at `at`: letters around, not just one. */
static bool is_cut(const struct wrapping *w, size_t at)
{
    const uint32_t *c = w->chars;
    const bool two_letters = at >= 2 && is_letter(c[at - 1]) && is_letter(c[at - 2]);
    const bool second_hyphen =
        at >= 3 && is_word_or_punctuation(c[at - 1]) && c[at - 2] == '-' && is_letter(c[at - 3]);
    if (!two_letters && !second_hyphen)
        return false;
    const size_t next = at + 1;
    if (next >= w->n || !is_letter(c[next]))
        return false;
    const size_t other = next + 1 < w->n && c[next + 1] == '-' ? next + 2 : next + 1;
    return other < w->n && is_letter(c[other]);
}

static size_t chunk_end(const struct wrapping *w, size_t at)
{
    size_t end = at;
    while (end < w->n && is_space(w->chars[end]) == is_space(w->chars[at])) {
        if (is_space(w->chars[at]) || !w->break_on_hyphens) {
            end++;
            continue;
        }
        if (end == at && w->chars[at] == '-' && dash_end(w, at) > 0)
            return dash_end(w, at);
        if (end > at && w->chars[end] == '-' && is_cut(w, end))
            return end + 1;
        if (end > at && w->chars[end] == '-' && dash_end(w, end) > 0)
            return end;
        end++;
    }
    return end;
}

/* str.strip() leaves nothing of it. */
static bool is_blank(const struct wrapping *w, struct chunk chunk)
{
    for (size_t i = chunk.begin; i < chunk.end; i++)
        if (!char_is_space(w->chars[i]))
            return false;
    return true;
}

/* Where a chunk that is longer than a line is cut. */
static size_t long_end(const struct wrapping *w, struct chunk chunk, int64_t room)
{
    if ((int64_t)(chunk.end - chunk.begin) <= room)
        return chunk.end;
    size_t end = chunk.begin + (size_t)room;
    for (size_t hyphen = end; w->break_on_hyphens && hyphen-- > chunk.begin;) {
        if (w->chars[hyphen] != '-')
            continue;
        for (size_t i = chunk.begin; i < hyphen; i++)
            if (w->chars[i] != '-')
                return hyphen + 1;
        break;
    }
    return end;
}

static bool write_line(struct wrapping *w, struct chunk line)
{
    if (w->any_line && !builder_add_string(w->out, w->between))
        return false;
    w->any_line = true;
    return builder_add_part(w->out, w->line, w->bytes[line.begin], w->bytes[line.end]);
}

/* One line from chunks[*next] on, which may be cut. */
static bool fill_line(struct wrapping *w, struct chunk *chunks, size_t n, size_t *next)
{
    size_t i = *next, n_used = 0;
    int64_t length = 0;
    if (w->any_line && is_blank(w, chunks[i]))
        i++;
    const size_t begin = i < n ? chunks[i].begin : 0;
    size_t end = begin;
    struct chunk last = {begin, begin};
    for (; i < n && length + (int64_t)(chunks[i].end - chunks[i].begin) <= w->width; i++) {
        last = chunks[i];
        end = last.end;
        length += (int64_t)(last.end - last.begin);
        n_used++;
    }
    if (i < n && (int64_t)(chunks[i].end - chunks[i].begin) > w->width) {
        const size_t cut =
            w->break_long ? long_end(w, chunks[i], w->width - length) : chunks[i].end;
        if (w->break_long || n_used == 0) {
            last = (struct chunk){chunks[i].begin, cut};
            end = cut;
            chunks[i].begin = cut;
            n_used++;
            i += cut == chunks[i].end && !w->break_long;
        }
    }
    *next = i;
    if (n_used > 0 && is_blank(w, last)) {
        end = last.begin;
        n_used--;
    }
    return n_used == 0 || write_line(w, (struct chunk){begin, end});
}

static bool wrap_line(struct wrapping *w)
{
    struct chunk *chunks = run_alloc(w->run, w->n, sizeof *chunks);
    size_t n = 0, next = 0;
    if (chunks == NULL || !run_step(w->run, w->n / TEXT_BYTES_PER_STEP))
        return false;
    for (size_t at = 0; at < w->n; at = chunks[n++].end)
        chunks[n] = (struct chunk){at, chunk_end(w, at)};
    w->any_line = false;
    while (next < n)
        if (!run_step(w->run, 1) || !fill_line(w, chunks, n, &next))
            return false;
    return true;
}

static bool read_line(struct wrapping *w, const struct string *line)
{
    uint32_t *chars = run_alloc(w->run, line->n_chars, sizeof *chars);
    uint32_t *bytes = run_alloc(w->run, (size_t)line->n_chars + 1, sizeof *bytes);
    if (chars == NULL || bytes == NULL)
        return false;
    size_t n = 0;
    for (size_t at = 0; at < line->n_bytes; n++) {
        bytes[n] = (uint32_t)at;
        chars[n] = utf8_read(line->data, &at);
    }
    bytes[n] = line->n_bytes;
    w->line = line;
    w->n = n;
    w->chars = chars;
    w->bytes = bytes;
    return true;
}

/* What is put in place of the end of a line is the users' where that was. */
static bool wrap_lines(struct wrapping *w, const struct string *s, const struct list *lines)
{
    bool user = false;
    for (uint32_t i = 0; i < lines->n; i++) {
        const struct string *line = lines->items[i].as.string;
        if ((i > 0 && !builder_add_formatted(w->out, w->between, user)) || !read_line(w, line) ||
            !wrap_line(w))
            return false;
        user = line_end_is_users(s, line);
    }
    return true;
}

/* Only a line to wrap asks for the width. */
static bool check_width(struct run *r, struct value width, int64_t *out)
{
    bool small;
    if (!value_less(r, width, value_int(0), "<=", &small))
        return false;
    if (small) {
        struct builder b;
        builder_init(&b, r);
        return builder_add_text(&b, "invalid width ") && builder_add_repr(&b, width) &&
               builder_add_text(&b, " (must be > 0)") &&
               run_raise_text(r, VALUE_ERROR, b.data, b.n);
    }
    if (width.kind == VALUE_FLOAT)
        return run_raise(r, NOT_SUPPORTED, "wordwrap: a width that is no whole number");
    return argument_integer(r, width, out);
}

static bool do_wordwrap(struct run *r, struct value v, const struct arguments *args,
                        struct value *out)
{
    struct value slots[] = {value_int(79), value_bool(true), value_none(), value_bool(true)};
    struct value lines;
    const struct value keep_ends = value_absent();
    struct builder b;
    builder_init(&b, r);
    struct wrapping w = {.run = r, .out = &b};
    if (!arguments_bind(r, "do_wordwrap",
                        "environment, s | width=, break_long_words=, wrapstring=, "
                        "break_on_hyphens=",
                        args, slots, 4) ||
        (slots[2].kind == VALUE_NONE && !value_make_static(r, "\n", &slots[2])))
        return false;
    if (slots[2].kind == VALUE_UNDEFINED || v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, slots[2].kind == VALUE_UNDEFINED ? slots[2] : v);
    if (slots[2].kind != VALUE_STRING || v.kind != VALUE_STRING)
        return run_raise(r, ATTRIBUTE_ERROR, "'%s' object has no attribute '%s'",
                         value_type_name(slots[2].kind != VALUE_STRING ? slots[2] : v),
                         slots[2].kind != VALUE_STRING ? "join" : "splitlines");
    w.between = slots[2].as.string;
    b.safe = w.between->safe;
    return text_splitlines(r, v, &keep_ends, &lines) &&
           (lines.as.list->n == 0 || check_width(r, slots[0], &w.width)) &&
           value_truth(r, slots[1], &w.break_long) &&
           value_truth(r, slots[3], &w.break_on_hyphens) &&
           wrap_lines(&w, v.as.string, lines.as.list) && builder_end(&b, out);
}

static const struct filter filters[] = {{"wordwrap", do_wordwrap}};
const struct filter_table wrap_filters = {filters, sizeof filters / sizeof *filters};
