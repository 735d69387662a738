#include "runtime/gateway/token_rows.h"

#include "base/memory.h"
#include "runtime/text/detokenizer.h"

#include <math.h>
#include <string.h>

static struct json_text keep(struct arena *arena, struct bytes *text)
{
    const struct json_text copy = {
        arena_copy_text(arena, text->len > 0 ? text->data : "", text->len), text->len};
    bytes_release(text);
    return copy;
}

struct json_text token_text(struct arena *arena, const struct tokenizer *tokenizer, int32_t token,
                            bool as_id)
{
    struct bytes text = {0};
    if (as_id)
        bytes_printf(&text, "token_id:%d", token);
    else
        detokenizer_decode(tokenizer, &token, 1, false, &text);
    return keep(arena, &text);
}

struct json_text tokens_text(struct arena *arena, const struct tokenizer *tokenizer,
                             const struct ids *ids)
{
    struct bytes text = {0};
    detokenizer_decode(tokenizer, ids->data, ids->n, false, &text);
    return keep(arena, &text);
}

/* Whether a text ends with U+FFFD: with the beginning of a character, or the middle of one. */
static bool is_cut(struct json_text text)
{
    return text.n_bytes >= 3 && memcmp(text.data + text.n_bytes - 3, "\xEF\xBF\xBD", 3) == 0;
}

/* The text of a token behind the chosen ones before row i. A character of several tokens is the
 * text of its last one, as in vLLM: texts one after the other are the text of the answer. */
static struct json_text text_behind(const struct token_rows *rows, const struct logprob_rows *from,
                                    size_t i, int32_t token)
{
    enum { MOST = 3 }; /* other bytes of a character */
    const struct json_text alone = token_text(rows->arena, rows->tokenizer, token, rows->as_ids);
    int32_t id[MOST + 1] = {[MOST] = token};
    if (rows->as_ids || !is_cut(alone))
        return alone;
    for (int n = 1; n <= MOST && i + rows->has_first >= (size_t)n; n++) {
        const size_t row = i - (size_t)n; /* of the first token: none */
        id[MOST - n] =
            i < (size_t)n ? rows->first : from->entry[row > 0 ? from->end.data[row - 1] : 0].token;
        if (!is_cut(token_text(rows->arena, rows->tokenizer, id[MOST - n], false)))
            break;
        const struct ids part = {.data = id + MOST - n, .n = (size_t)n + 1};
        const struct json_text text = tokens_text(rows->arena, rows->tokenizer, &part);
        if (!is_cut(text))
            return text;
    }
    return (struct json_text){"", 0};
}

/* Larger arrays leave the smaller ones to the arena. */
static void make_room(struct token_rows *rows, int n_rows, int n_entries)
{
    if (rows->n_rows + n_rows > rows->row_capacity) {
        rows->row_capacity = 2 * rows->n_rows + n_rows;
        int32_t *end = arena_alloc(rows->arena, (size_t)rows->row_capacity, sizeof *end);
        if (rows->n_rows > 0)
            memcpy(end, rows->end, (size_t)rows->n_rows * sizeof *end);
        rows->end = end;
    }
    if (rows->n_entries + n_entries > rows->entry_capacity) {
        rows->entry_capacity = 2 * rows->n_entries + n_entries;
        struct json_logprob *entry =
            arena_alloc(rows->arena, (size_t)rows->entry_capacity, sizeof *entry);
        if (rows->n_entries > 0)
            memcpy(entry, rows->entry, (size_t)rows->n_entries * sizeof *entry);
        rows->entry = entry;
    }
}

void token_rows_add_first(struct token_rows *rows, int32_t token)
{
    make_room(rows, 1, 1);
    const struct json_text text = text_behind(rows, NULL, 0, token);
    rows->entry[rows->n_entries++] = (struct json_logprob){token, NAN, 0, text};
    rows->end[rows->n_rows++] = rows->n_entries;
    rows->has_first = true;
    rows->first = token;
}

void token_rows_add(struct token_rows *rows, const struct logprob_rows *from, size_t begin,
                    size_t end)
{
    if (begin >= end)
        return;
    const int32_t first = begin > 0 ? from->end.data[begin - 1] : 0;
    const int32_t last = from->end.data[end - 1];
    const int32_t shift = rows->n_entries - first;
    make_room(rows, (int)(end - begin), last - first);
    for (size_t row = begin; row < end; row++) {
        for (int32_t i = rows->n_entries - shift; i < from->end.data[row]; i++) {
            const struct link_logprob *one = &from->entry[i];
            rows->entry[rows->n_entries++] = (struct json_logprob){
                one->token, one->logprob, one->rank, text_behind(rows, from, row, one->token)};
        }
        rows->end[rows->n_rows++] = rows->n_entries;
    }
    rows->has_first = false; /* other rows have other tokens before them */
}

struct json_logprob_rows token_rows_view(const struct token_rows *rows)
{
    return (struct json_logprob_rows){rows->entry, rows->end, rows->n_rows};
}

struct json_logprob_rows token_rows_make(struct arena *arena, const struct tokenizer *tokenizer,
                                         const struct logprob_rows *from, size_t begin, size_t end)
{
    struct token_rows rows = {.arena = arena, .tokenizer = tokenizer};
    token_rows_add(&rows, from, begin, end);
    return token_rows_view(&rows);
}
