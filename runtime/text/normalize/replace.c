#include "runtime/text/normalize/replace.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "runtime/text/split/pattern.h"
#include "runtime/text/unicode.h"

#include <string.h>

bool replace_all(const char *text, size_t n_bytes, const char *from, const char *to,
                 struct bytes *out)
{
    const size_t n_from = strlen(from), n_to = strlen(to);
    size_t done = 0;
    while (done < n_bytes) {
        const char *found = memmem(text + done, n_bytes - done, from, n_from);
        if (found == NULL)
            break;
        const size_t begin = (size_t)(found - text);
        if (!bytes_add(out, text + done, begin - done) || !bytes_add(out, to, n_to))
            return false;
        done = begin + n_from;
    }
    return bytes_add(out, text + done, n_bytes - done);
}

bool replacement_parse(struct replacement *r, const json_t *stage, struct error *err)
{
    const char *content;
    *r = (struct replacement){0};
    if (!json_get_text(stage, "content", true, &content, err))
        return false;
    r->to = memory_copy_text(content);
    r->n_to = strlen(content);
    return pattern_parse(&r->pattern, json_object_get(stage, "pattern"), err);
}

void replacement_release(struct replacement *r)
{
    pattern_destroy(r->pattern);
    memory_free(r->to);
    *r = (struct replacement){0};
}

static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }

bool replacement_run(const struct replacement *r, struct pattern_work *work, struct bytes *settled,
                     const char *text, size_t n_bytes, size_t *n_first, struct bytes *out,
                     struct error *err)
{
    const size_t first = *n_first;
    size_t done = 0, new_first = 0;
    struct pattern_scan scan = {0};
    const char *view = pattern_is_regex(r->pattern) ? unicode_settle(text, n_bytes, settled) : text;
    for (bool found = n_bytes > 0; found;) {
        struct span match = {(uint32_t)n_bytes, (uint32_t)n_bytes};
        if (!pattern_next(r->pattern, work, view, n_bytes, &scan, &match, &found, err))
            return false;
        if (done < first)
            new_first += at_most(match.begin, first) - done;
        bool ok = bytes_add(out, text + done, match.begin - done);
        if (found) { /* what replaces a match stands where its last character stood */
            new_first += first > 0 && match.end <= first ? r->n_to : 0;
            ok = ok && bytes_add(out, r->to, r->n_to);
        }
        if (!ok)
            return error_set(err, ERROR_INPUT, "more than %zu bytes after replacing", out->max);
        done = match.end;
    }
    *n_first = new_first;
    return true;
}
