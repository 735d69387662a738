/* Walks the members of the file's object and of its "model", and skips every value on the way.
 * What it does not check (numbers, words, commas between the wrong things) is checked by who reads
 * the parts. A key written with escapes is not recognised, and its value stays in the rest. */
#include "runtime/text/file/json_skim.h"

#include "base/error.h"
#include "runtime/text/file/json_cursor.h"

#include <string.h>

struct skimmer {
    struct json_cursor cursor;
    struct json_skim *out;
    size_t copied; /* the text before is in the rest, or one of the parts */
};

static bool is_key(const char *key, size_t n_bytes, const char *name)
{
    return n_bytes == strlen(name) && memcmp(key, name, n_bytes) == 0;
}

/* Moves to the value of the next member. False at the end of the object, or on an error. */
static bool next_member(struct json_cursor *c, const char **key, size_t *n_key, bool *failed,
                        struct error *err)
{
    *failed = false;
    json_cursor_take(c, ',');
    if (json_cursor_take(c, '}'))
        return false;
    size_t n_commas;
    if (json_cursor_peek(c) != '"') {
        *failed = true;
        return json_cursor_expect(c, '"', err);
    }
    const size_t begin = c->at + 1;
    *failed = !json_cursor_skip(c, &n_commas, err);
    if (*failed)
        return false;
    *key = c->text + begin;
    *n_key = c->at - 1 - begin;
    *failed = !json_cursor_expect(c, ':', err);
    return !*failed;
}

/* The value at the cursor becomes a part, and in the rest an empty value on as many lines. */
static bool take_part(struct skimmer *s, struct json_part *part, struct error *err)
{
    struct json_cursor *c = &s->cursor;
    const char opening = json_cursor_peek(c);
    size_t n_commas;
    part->begin = c->at;
    if (!json_cursor_skip(c, &n_commas, err))
        return false;
    part->n_bytes = c->at - part->begin;
    part->n_items = n_commas + 1;

    struct bytes *rest = &s->out->rest;
    bytes_add(rest, c->text + s->copied, part->begin - s->copied);
    bytes_add_char(rest, opening);
    for (const char *p = c->text + part->begin, *end = c->text + c->at;
         (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        bytes_add_char(rest, '\n');
    bytes_add_char(rest, opening == '{' ? '}' : ']');
    s->copied = c->at;
    return true;
}

static bool skim_model(struct skimmer *s, struct error *err)
{
    struct json_cursor *c = &s->cursor;
    const char *key;
    size_t n_key, n_commas;
    bool failed;
    json_cursor_take(c, '{');
    while (next_member(c, &key, &n_key, &failed, err)) {
        const char opening = json_cursor_peek(c);
        struct json_part *part = NULL;
        if (is_key(key, n_key, "vocab"))
            part = &s->out->vocab;
        if (is_key(key, n_key, "merges"))
            part = &s->out->merges;
        /* a second one stays in the rest, where base/json.h refuses the key that comes twice */
        const bool ours = part != NULL && part->n_bytes == 0 && (opening == '{' || opening == '[');
        if (!(ours ? take_part(s, part, err) : json_cursor_skip(c, &n_commas, err)))
            return false;
    }
    return !failed;
}

bool json_skim(struct json_skim *out, const char *text, size_t n_bytes, struct error *err)
{
    *out = (struct json_skim){0};
    struct skimmer s = {.cursor = {.text = text, .n_bytes = n_bytes}, .out = out};
    struct json_cursor *c = &s.cursor;
    if (!json_cursor_expect(c, '{', err))
        return false;
    const char *key;
    size_t n_key, n_commas;
    bool failed;
    while (next_member(c, &key, &n_key, &failed, err)) {
        const bool model = is_key(key, n_key, "model") && json_cursor_peek(c) == '{';
        if (!(model ? skim_model(&s, err) : json_cursor_skip(c, &n_commas, err)))
            return false;
    }
    if (failed)
        return false;
    bytes_add(&out->rest, text + s.copied, n_bytes - s.copied);
    return true;
}
