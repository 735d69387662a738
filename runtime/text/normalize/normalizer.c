#include "runtime/text/normalize/normalizer.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/split/pattern.h"
#include "runtime/text/unicode.h"

#include <string.h>

/* Ends of characters of the new text, until as many as `n_chars` have passed. */
static size_t bytes_of_chars(const char *text, size_t n_bytes, size_t n_chars)
{
    size_t at = 0;
    for (; n_chars > 0 && at < n_bytes; n_chars--)
        utf8_read(text, &at);
    return at;
}

/* The begin is as many characters as it has when it is normalized alone; but a mark that follows
 * may have moved between them. */
static size_t first_of_form(enum normal_form form, const char *alone, size_t n_alone,
                            const char *all, size_t n_all)
{
    if (form == NORMAL_FORM_C || form == NORMAL_FORM_KC)
        return bytes_of_chars(all, n_all, utf8_count(alone, n_alone));
    size_t n = 0;
    for (size_t at = 0; at < n_alone && at < n_all; n = at) {
        utf8_read(alone, &at);
        if (at > n_all || memcmp(alone + n, all + n, at - n) != 0)
            break;
    }
    return n;
}

static bool run_form(enum normal_form form, struct normal_form_work *work, const char *text,
                     size_t n_bytes, size_t *n_first, struct bytes *out)
{
    struct bytes alone = {0};
    if (*n_first > 0 && !normal_form_run(form, work, text, *n_first, &alone))
        bytes_add(&alone, text, *n_first);
    const bool changed = normal_form_run(form, work, text, n_bytes, out);
    if (*n_first > 0)
        *n_first = first_of_form(form, alone.data, alone.len, changed ? out->data : text,
                                 changed ? out->len : n_bytes);
    bytes_release(&alone);
    return changed;
}

static void run_chars(normalizer_char_fn *chars, const char *text, size_t n_bytes, size_t *n_first,
                      struct bytes *out)
{
    const size_t first = *n_first;
    for (size_t at = 0; at < n_bytes;) {
        uint32_t new[3];
        const int n = chars(utf8_read(text, &at), new);
        for (int i = 0; i < n; i++) {
            char one[4];
            if (new[i] < 0x80) {
                bytes_add_char(out, (char)new[i]);
                continue;
            }
            bytes_add(out, one, utf8_write(one, new[i]));
        }
        if (at == first)
            *n_first = out->len;
    }
}

static bool run_strip(const struct normalizer_step *step, const char *text, size_t n_bytes,
                      size_t *n_first, struct bytes *out)
{
    size_t begin = 0, end = n_bytes;
    for (size_t at = 0; step->left && at < n_bytes; begin = at)
        if (!unicode_is_space(utf8_read(text, &at)))
            break;
    while (step->right && end > begin) {
        const size_t before = utf8_before(text, end);
        size_t at = before;
        if (!unicode_is_space(utf8_read(text, &at)))
            break;
        end = before;
    }
    if (begin == 0 && end == n_bytes)
        return false;
    *n_first = *n_first > begin ? *n_first - begin : 0;
    bytes_add(out, text + begin, end - begin);
    return true;
}

static void run_byte_alphabet(const char *text, size_t n_bytes, size_t *n_first, struct bytes *out)
{
    const size_t first = *n_first;
    for (size_t i = 0; i < n_bytes; i++) {
        char one[4];
        bytes_add(out, one, utf8_write(one, byte_alphabet_char((unsigned char)text[i])));
        if (i + 1 == first)
            *n_first = out->len;
    }
}

/* *changed false: the text stays as it is, and `out` is empty. */
static bool run_step(const struct normalizer_step *step, struct normalizer_work *work,
                     const char *text, size_t n_bytes, size_t *n_first, struct bytes *out,
                     bool *changed, struct error *err)
{
    *changed = true;
    switch (step->kind) {
    case NORMALIZE_FORM:
        *changed = run_form(step->form, &work->forms, text, n_bytes, n_first, out);
        break;
    case NORMALIZE_CHARS:
        run_chars(step->chars, text, n_bytes, n_first, out);
        break;
    case NORMALIZE_STRIP:
        *changed = run_strip(step, text, n_bytes, n_first, out);
        break;
    case NORMALIZE_PREPEND:
        bytes_add_text(out, step->prefix);
        *n_first += *n_first > 0 ? out->len : 0;
        bytes_add(out, text, n_bytes);
        break;
    case NORMALIZE_REPLACE:
        return replacement_run(&step->replacement, work->patterns, &work->settled, text, n_bytes,
                               n_first, out, err);
    case NORMALIZE_BYTE_ALPHABET:
        run_byte_alphabet(text, n_bytes, n_first, out);
        break;
    case NORMALIZE_CHARSMAP:
        return charsmap_run(&step->charsmap, text, n_bytes, n_first, out, changed) ||
               error_set(err, ERROR_INPUT, "more than %zu bytes after mapping", out->max);
    }
    return true;
}

bool normalizer_run(const struct normalizer *n, struct normalizer_work *work, const char **text,
                    size_t *n_bytes, size_t *n_first, struct error *err)
{
    const size_t max_bytes = work->max_bytes ? work->max_bytes : NORMALIZER_MAX_BYTES;
    int free_room = 0; /* the other one may hold the text */
    for (int i = 0; *n_bytes > 0 && i < n->n_steps; i++) {
        struct bytes *room = &work->room[free_room];
        bool changed;
        bytes_clear(room);
        /* The others make a character at most eleven times longer, and are stopped behind. */
        const bool unbounded =
            n->steps[i].kind == NORMALIZE_REPLACE || n->steps[i].kind == NORMALIZE_CHARSMAP;
        room->max = unbounded ? max_bytes : 0;
        if (!run_step(&n->steps[i], work, *text, *n_bytes, n_first, room, &changed, err))
            return error_in(err, "normalizing the text");
        if (!changed)
            continue;
        if (room->len > max_bytes)
            return error_set(err, ERROR_INPUT, "the normalized text has %zu bytes, at most %zu",
                             room->len, max_bytes);
        *text = room->data ? room->data : "";
        *n_bytes = room->len;
        free_room = !free_room;
    }
    return true;
}

void normalizer_work_release(struct normalizer_work *work)
{
    bytes_release(&work->room[0]);
    bytes_release(&work->room[1]);
    bytes_release(&work->settled);
    normal_form_work_release(&work->forms);
}
