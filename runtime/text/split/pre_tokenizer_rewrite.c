/* The new text lies in the one of two rooms that does not hold the old one. */
#include "runtime/text/split/pre_tokenizer_rewrite.h"

#include "base/error.h"
#include "base/utf8.h"
#include "runtime/text/byte_alphabet.h"

#include <string.h>

struct replacements { /* what becomes of each byte; n_bytes 0: it stays */
    char text[256][4];
    unsigned char n_bytes[256];
};

static void fill(struct replacements *r, const struct pre_tokenizer_stage *stage)
{
    memset(r->n_bytes, 0, sizeof r->n_bytes);
    if (stage->kind == STAGE_METASPACE)
        r->n_bytes[' '] = (unsigned char)utf8_write(r->text[' '], stage->character);
    if (stage->kind == STAGE_BYTE_ALPHABET)
        for (int byte = 0; byte < 256; byte++)
            r->n_bytes[byte] =
                (unsigned char)utf8_write(r->text[byte], byte_alphabet_char((unsigned char)byte));
}

static void add_prefix(const struct pre_tokenizer_stage *stage, const char *text, size_t n_bytes,
                       bool first, struct bytes *room)
{
    char mark[4];
    if (stage->kind == STAGE_PREFIX_SPACE && text[0] != ' ')
        bytes_add_char(room, ' ');
    if (stage->kind != STAGE_METASPACE || stage->scheme == PREPEND_NEVER ||
        (stage->scheme == PREPEND_FIRST && !first))
        return;
    const size_t n_mark = utf8_write(mark, stage->character);
    if (text[0] != ' ' && (n_bytes < n_mark || memcmp(text, mark, n_mark) != 0))
        bytes_add(room, mark, n_mark);
}

/* Two bytes go at once: no character of the byte alphabet has more. */
static void add_alphabet(const struct replacements *r, const char *text, size_t n_bytes,
                         struct bytes *room)
{
    bytes_reserve(room, 2 * n_bytes);
    char *out = room->data + room->len;
    for (size_t i = 0; i < n_bytes; i++) {
        const unsigned char byte = (unsigned char)text[i];
        out[0] = r->text[byte][0];
        out[1] = r->text[byte][1];
        out += r->n_bytes[byte];
    }
    room->len = (size_t)(out - room->data);
}

static void add_text(const struct pre_tokenizer_stage *stage, const struct replacements *r,
                     const char *text, size_t n_bytes, struct bytes *room)
{
    if (stage->kind == STAGE_BYTE_ALPHABET) {
        add_alphabet(r, text, n_bytes, room);
        return;
    }
    const unsigned char space = ' ';
    for (const char *end = text + n_bytes; text < end;) {
        const char *found = r->n_bytes[space] ? memchr(text, space, (size_t)(end - text)) : NULL;
        bytes_add(room, text, (size_t)((found ? found : end) - text));
        if (found != NULL)
            bytes_add(room, r->text[space], r->n_bytes[space]);
        text = found ? found + 1 : end;
    }
}

static void rewrite_span(const struct pre_tokenizer_stage *stage, const struct replacements *r,
                         struct pre_tokenizer_work *work, struct span span, struct bytes *room)
{
    const char *text = work->text + span.begin;
    const size_t n_bytes = span.end - span.begin, begin = room->len;
    const bool first = span.begin < work->n_first;
    size_t n_part = first ? work->n_first - span.begin : 0; /* of it stem from the first one */
    n_part = n_part < n_bytes ? n_part : n_bytes;
    add_prefix(stage, text, n_bytes, first, room);
    add_text(stage, r, text, n_part, room);
    work->n_first_after = first ? room->len : work->n_first_after;
    add_text(stage, r, text + n_part, n_bytes - n_part, room);
    spans_add(&work->next, begin, room->len);
}

bool pre_tokenizer_rewrite(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                           size_t *n_steps, bool *done, struct error *err)
{
    struct bytes *room = &work->room[!work->room_used];
    struct replacements replacements;
    if (work->n_bytes > PRE_TOKENIZER_MAX_BYTES)
        return error_set(err, ERROR_INPUT, "%zu bytes before the words are cut, at most %d",
                         work->n_bytes, PRE_TOKENIZER_MAX_BYTES);
    if (work->i == 0) {
        bytes_clear(room);
        work->n_first_after = 0;
    }
    fill(&replacements, stage);
    for (; *n_steps > 0 && work->i < work->spans.n; work->i++, --*n_steps)
        rewrite_span(stage, &replacements, work, work->spans.data[work->i], room);
    *done = work->i == work->spans.n;
    if (!*done)
        return true;
    work->room_used = !work->room_used;
    work->text = room->data ? room->data : "";
    work->n_bytes = room->len;
    work->n_first = work->n_first_after;
    return true;
}
