/* Filters that show a value as code: JSON, and Python's pprint.
 *
 * pprint breaks what is wider than 80 characters at its items, and texts between words. `allowance`
 * is how many characters come behind on the same line.
 *
 * Source: transformers' tojson; the layout of pprint in CPython 3.11.
 */
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

#include <string.h>

enum { WIDTH = 80 };

/* ---- tojson -----------------------------------------------------------------------------------*/

static bool read_separators(struct run *r, struct value v, struct json_style *style)
{
    struct value items[2];
    if (v.kind == VALUE_NONE)
        return true;
    if (!value_unpack(r, v, 2, items))
        return false;
    for (int i = 0; i < 2; i++)
        if (items[i].kind != VALUE_STRING)
            return run_raise(r, TYPE_ERROR, "make_encoder() argument %d must be str, not %s",
                             i == 0 ? 6 : 5, value_type_name(items[i]));
    style->item_separator = items[0].as.string;
    style->key_separator = items[1].as.string;
    return true;
}

static bool read_indent(struct run *r, struct value v, struct json_style *style)
{
    int64_t indent;
    if (v.kind == VALUE_NONE)
        return true;
    if (v.kind == VALUE_STRING) {
        style->indent_text = v.as.string;
        return true;
    }
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    if (!value_is_whole(v))
        return run_raise(r, TYPE_ERROR, "can't multiply sequence by non-int of type '%s'",
                         value_type_name(v));
    if (!argument_integer(r, v, &indent))
        return false;
    if (indent > INT32_MAX)
        return run_raise(r, LIMIT_EXCEEDED, "an indentation of %lld", (long long)indent);
    style->indent = indent < 0 ? 0 : (int)indent;
    return true;
}

static bool do_tojson(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    /* ensure_ascii, indent, separators, sort_keys */
    struct value slots[] = {value_bool(false), value_none(), value_none(), value_bool(false)};
    struct json_style style = {.indent = -1};
    return arguments_bind(r, "tojson", "x | ensure_ascii=, indent=, separators=, sort_keys=", args,
                          slots, 4) &&
           value_truth(r, slots[0], &style.ensure_ascii) &&
           value_truth(r, slots[3], &style.sort_keys) && read_separators(r, slots[2], &style) &&
           read_indent(r, slots[1], &style) && value_json(r, v, &style, out);
}

/* ---- pprint -----------------------------------------------------------------------------------*/

/* Keys in their order where they have one; else by the names of their types. */
static bool is_before(struct run *r, struct value a, struct value b, bool *out)
{
    const bool numbers = a.kind >= VALUE_BOOL && a.kind <= VALUE_FLOAT && b.kind >= VALUE_BOOL &&
                         b.kind <= VALUE_FLOAT;
    if (numbers || (a.kind == b.kind && a.kind == VALUE_STRING))
        return value_less(r, a, b, "<", out);
    *out = strcmp(value_type_name(a), value_type_name(b)) < 0;
    return true;
}

static bool sorted_places(struct run *r, const struct dict *dict, uint32_t **out)
{
    uint32_t *places = run_alloc(r, dict->n, sizeof *places);
    *out = places;
    for (uint32_t i = 0; places != NULL && i < dict->n; i++) {
        uint32_t low = 0, high = i;
        while (low < high) {
            const uint32_t middle = (low + high) / 2;
            bool before;
            if (!run_step(r, 1) ||
                !is_before(r, dict->items[i].key, dict->items[places[middle]].key, &before))
                return false;
            if (before)
                high = middle;
            else
                low = middle + 1;
        }
        if (!run_step(r, (i - low) / TEXT_BYTES_PER_STEP))
            return false;
        memmove(places + low + 1, places + low, (i - low) * sizeof *places);
        places[low] = i;
    }
    return places != NULL;
}

static bool add_sorted_repr(struct builder *b, struct value v);

static bool add_sorted_items(struct builder *b, struct value v)
{
    if (v.kind == VALUE_DICT) {
        uint32_t *places;
        if (!sorted_places(b->run, v.as.dict, &places))
            return false;
        for (uint32_t i = 0; i < v.as.dict->n; i++) {
            const struct dict_item *item = &v.as.dict->items[places[i]];
            if ((i > 0 && !builder_add_text(b, ", ")) || !add_sorted_repr(b, item->key) ||
                !builder_add_text(b, ": ") || !add_sorted_repr(b, item->value))
                return false;
        }
        return true;
    }
    for (uint32_t i = 0; i < v.as.list->n; i++)
        if ((i > 0 && !builder_add_text(b, ", ")) || !add_sorted_repr(b, v.as.list->items[i]))
            return false;
    return v.kind != VALUE_TUPLE || v.as.list->n != 1 || builder_add_text(b, ",");
}

/* repr(v) with the keys of dicts in order. */
static bool add_sorted_repr(struct builder *b, struct value v)
{
    if (v.kind != VALUE_LIST && v.kind != VALUE_TUPLE && v.kind != VALUE_DICT)
        return builder_add_repr(b, v);
    const char *brackets = v.kind == VALUE_LIST ? "[]" : v.kind == VALUE_TUPLE ? "()" : "{}";
    if (!run_step(b->run, 1) || !run_enter(b->run))
        return false;
    const bool ok = builder_add_char(b, (uint32_t)brackets[0], false) && add_sorted_items(b, v) &&
                    builder_add_char(b, (uint32_t)brackets[1], false);
    run_leave(b->run);
    return ok;
}

static bool sorted_repr(struct run *r, struct value v, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    return add_sorted_repr(&b, v) && builder_end(&b, out);
}

static bool add_break(struct builder *b, const char *before, int64_t indent)
{
    return builder_add_text(b, before) && builder_add_text(b, "\n") &&
           builder_add_fill(b, " ", 1, false, indent > 0 ? (size_t)indent : 0);
}

static bool add_pretty(struct builder *b, struct value v, int64_t indent, int64_t allowance,
                       int level);

/* ---- texts: pieces that fit, each as a text of its own ----------------------------------------*/

/* repr() of bytes [begin, end) when it has at most `width` characters; *fits. */
static bool piece_fits(struct run *r, const struct string *s, size_t begin, size_t end,
                       int64_t width, bool *fits)
{
    struct value part, shown;
    if (!string_part(r, s, begin, end, &part) || !value_repr(r, part, &shown))
        return false;
    *fits = shown.as.string->n_chars <= width;
    return true;
}

static bool add_piece(struct run *r, struct list *pieces, const struct string *s, size_t begin,
                      size_t end)
{
    struct value part;
    return begin == end || (string_part(r, s, begin, end, &part) && list_add(r, pieces, part));
}

/* Behind the next word and the white space behind it. */
static size_t word_end(const struct string *s, size_t at, size_t end)
{
    bool space = false;
    while (at < end) {
        size_t next = at;
        const bool is_space = char_is_space(utf8_read(s->data, &next));
        if (space && !is_space)
            break;
        space = is_space;
        at = next;
    }
    return at;
}

static bool split_line(struct run *r, struct list *pieces, const struct string *s, size_t begin,
                       size_t end, int64_t width, int64_t allowance, bool last_line)
{
    for (size_t at = begin; at < end;) {
        const size_t next = word_end(s, at, end);
        bool fits;
        if (next == end && last_line)
            width -= allowance;
        if (!run_step(r, 1) || !piece_fits(r, s, begin, next, width, &fits))
            return false;
        if (!fits) {
            if (!add_piece(r, pieces, s, begin, at))
                return false;
            begin = at;
        }
        at = next;
    }
    return add_piece(r, pieces, s, begin, end);
}

static bool add_pretty_text(struct builder *b, struct value v, int64_t indent, int64_t allowance,
                            int level)
{
    struct run *r = b->run;
    const struct value keep_ends = value_bool(true);
    struct value lines;
    struct list *pieces = list_make(r, 0);
    indent += level == 1;
    allowance += level == 1;
    if (pieces == NULL || !text_splitlines(r, v, &keep_ends, &lines))
        return false;
    const int64_t width = WIDTH - indent;
    for (uint32_t i = 0; i < lines.as.list->n; i++) {
        const struct string *line = lines.as.list->items[i].as.string;
        const bool last = i + 1 == lines.as.list->n;
        bool fits;
        if (!piece_fits(r, line, 0, line->n_bytes, width - (last ? allowance : 0), &fits) ||
            !(fits ? add_piece(r, pieces, line, 0, line->n_bytes)
                   : split_line(r, pieces, line, 0, line->n_bytes, width, allowance, last)))
            return false;
    }
    if (pieces->n == 0)
        return builder_add_repr(b, v);
    if (pieces->n == 1)
        return builder_add_repr(b, lines.as.list->items[lines.as.list->n - 1]);
    if (level == 1 && !builder_add_text(b, "("))
        return false;
    for (uint32_t i = 0; i < pieces->n; i++)
        if ((i > 0 && !add_break(b, "", indent)) || !builder_add_repr(b, pieces->items[i]))
            return false;
    return level != 1 || builder_add_text(b, ")");
}

/* ---- containers -------------------------------------------------------------------------------*/

static bool add_pretty_list(struct builder *b, struct value v, int64_t indent, int64_t allowance,
                            int level)
{
    const struct list *list = v.as.list;
    const char *end = v.kind == VALUE_LIST ? "]" : list->n == 1 ? ",)" : ")";
    if (!builder_add_text(b, v.kind == VALUE_LIST ? "[" : "("))
        return false;
    for (uint32_t i = 0; i < list->n; i++) {
        const int64_t behind = i + 1 == list->n ? allowance + (int64_t)strlen(end) : 1;
        if ((i > 0 && !add_break(b, ",", indent + 1)) ||
            !add_pretty(b, list->items[i], indent + 1, behind, level))
            return false;
    }
    return builder_add_text(b, end);
}

static bool add_pretty_dict(struct builder *b, const struct dict *dict, int64_t indent,
                            int64_t allowance, int level)
{
    uint32_t *places;
    if (!sorted_places(b->run, dict, &places) || !builder_add_text(b, "{"))
        return false;
    for (uint32_t i = 0; i < dict->n; i++) {
        const struct dict_item *item = &dict->items[places[i]];
        struct value key;
        if ((i > 0 && !add_break(b, ",", indent + 1)) || !sorted_repr(b->run, item->key, &key) ||
            !builder_add_string(b, key.as.string) || !builder_add_text(b, ": ") ||
            !add_pretty(b, item->value, indent + 1 + key.as.string->n_chars + 2,
                        i + 1 == dict->n ? allowance + 1 : 1, level))
            return false;
    }
    return builder_add_text(b, "}");
}

static bool add_broken(struct builder *b, struct value v, int64_t indent, int64_t allowance,
                       int level)
{
    if (!run_enter(b->run))
        return false;
    bool ok;
    if (v.kind == VALUE_STRING)
        ok = add_pretty_text(b, v, indent, allowance, level);
    else if (v.kind == VALUE_DICT)
        ok = add_pretty_dict(b, v.as.dict, indent, allowance, level);
    else
        ok = add_pretty_list(b, v, indent, allowance, level);
    run_leave(b->run);
    return ok;
}

static bool add_pretty(struct builder *b, struct value v, int64_t indent, int64_t allowance,
                       int level)
{
    struct value shown;
    if (!sorted_repr(b->run, v, &shown))
        return false;
    const bool breaks = v.kind == VALUE_LIST || v.kind == VALUE_TUPLE || v.kind == VALUE_DICT ||
                        (v.kind == VALUE_STRING && !v.as.string->safe);
    if (breaks && shown.as.string->n_chars > WIDTH - indent - allowance)
        return add_broken(b, v, indent, allowance, level + 1);
    return builder_add_string(b, shown.as.string);
}

static bool do_pprint(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    return arguments_bind(r, "do_pprint", "value |", args, NULL, 0) && add_pretty(&b, v, 0, 0, 0) &&
           builder_end(&b, out);
}

static const struct filter filters[] = {{"pprint", do_pprint}, {"tojson", do_tojson}};
const struct filter_table show_filters = {filters, sizeof filters / sizeof *filters};
