#include "launcher/bench/json_list.h"

#include "base/error.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

enum { MAX_ITEM_BYTES = 16 << 20, MAX_DEPTH = 32, MAX_VALUES = 1 << 20, LOOK_EVERY = 1 << 20 };

/* The next byte that is no blank; EOF: the end, or the file cannot be read. */
static int next_sign(struct json_list *list)
{
    int c;
    do
        c = getc_unlocked(list->file);
    while (c == ' ' || c == '\t' || c == '\n' || c == '\r');
    return c;
}

static bool fail(const struct json_list *list, const char *what, struct error *err)
{
    if (ferror(list->file))
        return error_set(err, ERROR_INPUT, "%s: %s", list->path, strerror(errno));
    return error_set(err, ERROR_INPUT, "%s: item %zu: %s", list->path, list->n_items, what);
}

bool json_list_open(struct json_list *out, const char *path, const volatile sig_atomic_t *interrupt,
                    struct error *err)
{
    *out = (struct json_list){.path = path,
                              .file = fopen(path, "rbe"),
                              .interrupt = interrupt,
                              .item = {.max = MAX_ITEM_BYTES}};
    if (out->file == NULL)
        return error_set(err, ERROR_INPUT, "%s: %s", path, strerror(errno));
    const int first = next_sign(out);
    if (first != '[' && ferror(out->file))
        return error_set(err, ERROR_INPUT, "%s: %s", path, strerror(errno));
    return first == '[' || error_set(err, ERROR_INPUT, "%s: no JSON list", path);
}

/* Copies an object whose '{' was read, to the bracket that ends it: strings may have brackets. What
 * is between is checked by who parses it. */
static bool copy_object(struct json_list *list, struct error *err)
{
    bool is_text = false, is_escaped = false;
    bytes_clear(&list->item);
    bytes_add_char(&list->item, '{');
    for (int depth = 1; depth > 0;) {
        const int c = getc_unlocked(list->file);
        if (c == EOF)
            return fail(list, "the file ends within it", err);
        if (!bytes_add_char(&list->item, (char)c))
            return fail(list, "more than 16 MB", err);
        if (list->item.len % LOOK_EVERY == 0 && *list->interrupt)
            return error_set(err, ERROR_LIMIT, "interrupted");
        if (is_text) {
            is_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
        } else {
            is_text = c == '"';
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        }
    }
    return true;
}

bool json_list_next(struct json_list *list, json_t **item, struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = MAX_ITEM_BYTES, .max_depth = MAX_DEPTH, .max_values = MAX_VALUES};
    *item = NULL;
    if (*list->interrupt)
        return error_set(err, ERROR_LIMIT, "interrupted");
    int sign = next_sign(list);
    if (sign == ']')
        return true;
    if (list->n_items++ > 0)
        sign = sign == ',' ? next_sign(list) : 0;
    if (sign != '{')
        return fail(list, "no JSON object where one should begin", err);
    return copy_object(list, err) &&
           (json_parse(item, list->item.data, list->item.len, &limits, err) ||
            error_in(err, "%s: item %zu", list->path, list->n_items));
}

void json_list_close(struct json_list *list)
{
    if (list->file != NULL)
        fclose(list->file);
    bytes_release(&list->item);
    *list = (struct json_list){0};
}
