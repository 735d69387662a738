/* json.dumps() of Python's library. */
#include "base/utf8.h"
#include "runtime/jinja/builtins/group.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct dump {
    struct run *run;
    struct builder out;
    const struct json_style *style;
    bool indents;
    size_t level; /* of indentation */
};

/* ---- texts and numbers ------------------------------------------------------------------------*/

/* The escape of a character, or "" where it stands for itself. */
static void find_escape(uint32_t c, bool ascii, char escape[16])
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    escape[0] = '\0';
    if (c < sizeof letters && letters[c] != '\0')
        snprintf(escape, 16, "\\%c", letters[c]);
    else if (c < 0x20 || (ascii && c >= 0x7F && c <= 0xFFFF))
        snprintf(escape, 16, "\\u%04" PRIx32, c);
    else if (ascii && c > 0xFFFF) /* as UTF-16 */
        snprintf(escape, 16, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xD800 + ((c - 0x10000) >> 10),
                 0xDC00 + ((c - 0x10000) & 0x3FF));
}

static bool add_text(struct dump *d, const struct string *s)
{
    struct builder *b = &d->out;
    const bool ascii = d->style->ensure_ascii;
    size_t plain = 0; /* everything before is written */
    if (!builder_add_text(b, "\""))
        return false;
    for (size_t at = 0; at < s->n_bytes;) {
        const unsigned char byte = (unsigned char)s->data[at];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && (!ascii || byte < 0x7F)) {
            at++;
            continue;
        }
        char escape[16];
        const size_t begin = at;
        find_escape(utf8_read(s->data, &at), ascii, escape);
        if (!builder_add_part(b, s, plain, begin) ||
            !builder_add(b, escape, strlen(escape), string_has_user(s, begin, at)))
            return false;
        plain = at;
    }
    return builder_add_part(b, s, plain, s->n_bytes) && builder_add_text(b, "\"");
}

static bool add_float(struct builder *b, double d)
{
    char text[32];
    if (isnan(d))
        return builder_add_text(b, "NaN");
    if (isinf(d))
        return builder_add_text(b, d < 0 ? "-Infinity" : "Infinity");
    return builder_add(b, text, float_repr(d, text), false);
}

/* What is written the same as a value and, in quotes, as a key. */
static bool add_plain(struct builder *b, struct value v)
{
    switch (v.kind) {
    case VALUE_NONE:
        return builder_add_text(b, "null");
    case VALUE_BOOL:
        return builder_add_text(b, v.as.boolean ? "true" : "false");
    case VALUE_INT:
        return builder_printf(b, "%" PRId64, v.as.integer);
    default:
        return add_float(b, v.as.number);
    }
}

/* ---- containers -------------------------------------------------------------------------------*/

static bool add_newline(struct dump *d)
{
    const struct json_style *style = d->style;
    if (!d->indents)
        return true;
    if (!builder_add_text(&d->out, "\n"))
        return false;
    if (style->indent_text == NULL)
        return builder_add_fill(&d->out, " ", 1, false, d->level * (size_t)style->indent);
    for (size_t i = 0; i < d->level; i++) {
        if (!builder_add_string(&d->out, style->indent_text))
            return false;
    }
    return true;
}

static bool add_separator(struct dump *d, const struct string *given, const char *otherwise)
{
    return given != NULL ? builder_add_string(&d->out, given)
                         : builder_add_text(&d->out, otherwise);
}

/* What stands before item i, or before the closing bracket for i == n. */
static bool add_border(struct dump *d, uint32_t i, uint32_t n)
{
    d->level += (i == 0 && n > 0);
    if (i > 0 && i < n && !add_separator(d, d->style->item_separator, d->indents ? "," : ", "))
        return false;
    d->level -= (i == n && n > 0);
    return n == 0 || add_newline(d);
}

static bool add_value(struct dump *d, struct value v);

static bool add_list(struct dump *d, const struct list *list)
{
    if (!builder_add_text(&d->out, "["))
        return false;
    for (uint32_t i = 0; i < list->n; i++) {
        if (!run_step(d->run, 1) || !add_border(d, i, list->n) || !add_value(d, list->items[i]))
            return false;
    }
    return add_border(d, list->n, list->n) && builder_add_text(&d->out, "]");
}

static bool add_key(struct dump *d, struct value key)
{
    switch (key.kind) {
    case VALUE_STRING:
        return add_text(d, key.as.string);
    case VALUE_NONE:
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_FLOAT:
        return builder_add_text(&d->out, "\"") && add_plain(&d->out, key) &&
               builder_add_text(&d->out, "\"");
    default:
        return run_raise(d->run, TYPE_ERROR, "keys must be str, int, float, bool or None, not %s",
                         value_type_name(key));
    }
}

/* Merges the sorted halves [0, middle) and [middle, n) of `items` by way of `room`. */
static bool merge(struct run *r, struct dict_item *items, size_t middle, size_t n,
                  struct dict_item *room)
{
    size_t left = 0, right = middle;
    for (size_t i = 0; i < n; i++) {
        bool take_right = left == middle;
        if (left < middle && right < n &&
            (!run_step(r, 1) ||
             !value_less(r, items[right].key, items[left].key, "<", &take_right)))
            return false;
        room[i] = take_right ? items[right++] : items[left++];
    }
    memcpy(items, room, n * sizeof *items);
    return true;
}

static bool sort_items(struct run *r, struct dict_item *items, size_t n, struct dict_item *room)
{
    for (size_t half = 1; half < n; half *= 2) {
        for (size_t at = 0; at + half < n; at += 2 * half) {
            const size_t rest = n - at;
            if (!merge(r, items + at, half, rest < 2 * half ? rest : 2 * half, room))
                return false;
        }
    }
    return true;
}

static bool add_dict(struct dump *d, const struct dict *dict)
{
    struct dict_item *items = dict->items;
    if (d->style->sort_keys && dict->n > 1) {
        items = run_alloc(d->run, 2 * (size_t)dict->n, sizeof *items);
        if (items == NULL)
            return false;
        memcpy(items, dict->items, dict->n * sizeof *items);
        if (!sort_items(d->run, items, dict->n, items + dict->n))
            return false;
    }
    if (!builder_add_text(&d->out, "{"))
        return false;
    for (uint32_t i = 0; i < dict->n; i++) {
        if (!run_step(d->run, 1) || !add_border(d, i, dict->n) || !add_key(d, items[i].key) ||
            !add_separator(d, d->style->key_separator, ": ") || !add_value(d, items[i].value))
            return false;
    }
    return add_border(d, dict->n, dict->n) && builder_add_text(&d->out, "}");
}

static bool add_value(struct dump *d, struct value v)
{
    bool ok;
    v = group_as_tuple(v);
    switch (v.kind) {
    case VALUE_STRING:
        return add_text(d, v.as.string);
    case VALUE_NONE:
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_FLOAT:
        return add_plain(&d->out, v);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_DICT:
        if (!run_enter(d->run))
            return false;
        ok = v.kind == VALUE_DICT ? add_dict(d, v.as.dict) : add_list(d, v.as.list);
        run_leave(d->run);
        return ok;
    default:
        return run_raise(d->run, TYPE_ERROR, "Object of type %s is not JSON serializable",
                         value_type_name(v));
    }
}

bool value_json(struct run *r, struct value v, const struct json_style *style, struct value *out)
{
    struct dump d = {.run = r, .style = style};
    d.indents = style->indent >= 0 || style->indent_text != NULL;
    builder_init(&d.out, r);
    return add_value(&d, v) && builder_end(&d.out, out);
}
