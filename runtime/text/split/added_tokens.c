/* The matcher is a sorted list. From a place in the text, each further byte narrows the run of
 * tokens that are still possible; one whose end is reached stands first in that run. */
#include "runtime/text/split/added_tokens.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/encoder.h"
#include "runtime/text/unicode.h"

#include <string.h>

/* The first of sorted[low, high) whose byte `at` is at least `byte`; all have the same bytes before
 * and are longer than `at`. */
static size_t lower_bound(const struct added_matcher *m, size_t low, size_t high, size_t at,
                          unsigned byte)
{
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if ((unsigned char)m->sorted[middle]->pattern[at] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that begins at text[0], of special ones the longest of at most `max_special`
 * bytes; NULL: none does. */
static const struct added_token *longest_at(const struct added_matcher *m, const char *text,
                                            size_t n_bytes, size_t max_special)
{
    const struct added_token *longest = NULL;
    size_t low = m->first[(unsigned char)text[0]], high = m->first[(unsigned char)text[0] + 1];
    for (size_t at = 1; low < high; at++) {
        if (m->sorted[low]->n_pattern == at) {
            if (!m->sorted[low]->special || at <= max_special)
                longest = m->sorted[low];
            low++;
        }
        while (low < high && m->sorted[low]->n_pattern == at)
            low++; /* the same pattern again, from a token that was normalized to it */
        if (at == n_bytes)
            break;
        const unsigned byte = (unsigned char)text[at];
        low = lower_bound(m, low, high, at, byte);
        high = lower_bound(m, low, high, at, byte + 1);
    }
    return longest;
}

static bool touches_word(const char *text, size_t n_bytes, size_t begin, size_t end)
{
    size_t before = begin > 0 ? utf8_before(text, begin) : 0, behind = end;
    return (begin > 0 && unicode_is_word(utf8_read(text, &before))) ||
           (end < n_bytes && unicode_is_word(utf8_read(text, &behind)));
}

static size_t spaces_before(const char *text, size_t at, size_t stop)
{
    while (at > stop) {
        const size_t before = utf8_before(text, at);
        size_t read = before;
        if (!unicode_is_space(utf8_read(text, &read)))
            break;
        at = before;
    }
    return at;
}

static size_t spaces_behind(const char *text, size_t at, size_t n_bytes)
{
    size_t behind = at;
    while (at < n_bytes && unicode_is_space(utf8_read(text, &behind)))
        at = behind;
    return at;
}

/* The first range that ends behind `at`, or NULL. */
static const struct text_range *range_from(const struct text_range *plain, size_t n_plain,
                                           size_t at)
{
    size_t low = 0, high = n_plain;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (plain[middle].end <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n_plain ? &plain[low] : NULL;
}

static void add_piece(struct added_pieces *out, size_t begin, size_t end, int32_t id)
{
    if (out->n == out->capacity) {
        out->capacity = out->capacity ? out->capacity * 2 : 16;
        out->data = memory_resize(out->data, out->capacity, sizeof *out->data);
    }
    out->data[out->n++] = (struct added_piece){begin, end, id};
}

/* The token to take at text[at]. NULL: none, and *behind is where to look next. A special token
 * that touches a range is none; wholly inside it is passed over, as the reference does, else
 * nothing that begins outside may be hidden, nor what is shorter and ends before the range. */
static const struct added_token *token_at(const struct added_matcher *m, const char *text,
                                          size_t n_bytes, size_t at, const struct text_range *plain,
                                          size_t n_plain, size_t *behind)
{
    const unsigned char first = (unsigned char)text[at];
    *behind = at + 1;
    if (m->first[first] == m->first[first + 1])
        return NULL;
    const struct added_token *token = longest_at(m, text + at, n_bytes - at, SIZE_MAX);
    const struct text_range *range =
        token && token->special ? range_from(plain, n_plain, at) : NULL;
    if (range == NULL || range->begin >= at + token->n_pattern)
        return token;
    if (range->begin <= at && at + token->n_pattern <= range->end) {
        *behind = at + token->n_pattern;
        return NULL;
    }
    return longest_at(m, text + at, n_bytes - at, range->begin > at ? range->begin - at : 0);
}

void added_tokens_split(const struct added_matcher *m, const char *text, size_t n_bytes,
                        const struct text_range *plain, size_t n_plain, struct added_pieces *out)
{
    size_t done = 0;   /* text[0, done) is in pieces */
    size_t spaces = 0; /* text[.., spaces) was found to be spaces, as far back as the last token */
    out->n = 0;
    for (size_t at = 0; m->n > 0 && at < n_bytes;) {
        size_t begin = at;
        const struct added_token *token = token_at(m, text, n_bytes, begin, plain, n_plain, &at);
        if (token == NULL)
            continue;
        size_t end = at = begin + token->n_pattern;
        if (token->single_word && touches_word(text, n_bytes, begin, end))
            continue;
        if (token->lstrip) /* the token before may have taken more than these spaces */
            begin = begin < done ? done : spaces_before(text, begin, done);
        if (token->rstrip)
            end = spaces = end < spaces ? spaces : spaces_behind(text, end, n_bytes);
        if (done < begin)
            add_piece(out, done, begin, -1);
        if (begin < end)
            add_piece(out, begin, end, token->id);
        done = end;
    }
    if (done < n_bytes)
        add_piece(out, done, n_bytes, -1);
}

const struct added_token *added_tokens_find(const struct added_tokens *added, const char *text,
                                            size_t n_bytes)
{
    size_t low = 0, high = added->n;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const struct added_token *token = added->by_text[middle];
        const size_t n = token->n_bytes < n_bytes ? token->n_bytes : n_bytes;
        int order = n > 0 ? memcmp(token->text, text, n) : 0;
        if (order == 0 && token->n_bytes == n_bytes)
            return token;
        if (order < 0 || (order == 0 && token->n_bytes < n_bytes))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void added_tokens_release(struct added_tokens *added)
{
    arena_release(&added->arena);
    *added = (struct added_tokens){0};
}

void added_pieces_release(struct added_pieces *pieces)
{
    memory_free(pieces->data);
    *pieces = (struct added_pieces){0};
}
