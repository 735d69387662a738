/* Filters of texts: letters, padding, lines. What is no text is made one first, as str() does. */
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/letter_case.h"
#include "runtime/jinja/values/markup.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

enum { DEFAULT_LEEWAY = 5 /* of truncate, in the policies of the environment */ };

/* ---- letters ----------------------------------------------------------------------------------*/

static bool to_case(struct run *r, const char *function, struct value v,
                    const struct arguments *args, enum letter_case to, struct value *out)
{
    return arguments_bind(r, function, "s |", args, NULL, 0) && value_text(r, v, &v) &&
           text_to_case(r, v.as.string, to, out);
}

static bool do_capitalize(struct run *r, struct value v, const struct arguments *args,
                          struct value *out)
{
    return to_case(r, "do_capitalize", v, args, CASE_SENTENCE, out);
}

static bool do_lower(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    return to_case(r, "do_lower", v, args, CASE_LOWER, out);
}

static bool do_upper(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    return to_case(r, "do_upper", v, args, CASE_UPPER, out);
}

static bool begins_word(uint32_t c)
{
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || char_is_space(c);
}

static bool add_word(struct builder *b, const struct string *s, size_t begin, size_t end)
{
    struct value first, rest;
    size_t at = begin;
    if (begin == end)
        return true;
    utf8_read(s->data, &at);
    return run_step(b->run, 1) && string_part(b->run, s, begin, at, &first) &&
           text_to_case(b->run, first.as.string, CASE_UPPER, &first) &&
           string_part(b->run, s, at, end, &rest) &&
           text_to_case(b->run, rest.as.string, CASE_LOWER, &rest) &&
           builder_add_string(b, first.as.string) && builder_add_string(b, rest.as.string);
}

/* Unlike str.title(), only some characters end a word here: "it's" is one. */
static bool do_title(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    if (!arguments_bind(r, "do_title", "s |", args, NULL, 0) || !value_text(r, v, &v))
        return false;
    const struct string *s = v.as.string;
    struct builder b;
    builder_init(&b, r); /* the reference joins the words to a text that is no Markup */
    size_t begin = 0;
    for (size_t at = 0; at < s->n_bytes;) {
        const size_t here = at;
        if (!begins_word(utf8_read(s->data, &at)))
            continue;
        if (!add_word(&b, s, begin, here) || !builder_add_part(&b, s, here, at))
            return false;
        begin = at;
    }
    return add_word(&b, s, begin, s->n_bytes) && builder_end(&b, out);
}

static bool do_wordcount(struct run *r, struct value v, const struct arguments *args,
                         struct value *out)
{
    if (!arguments_bind(r, "do_wordcount", "s |", args, NULL, 0) || !value_text(r, v, &v))
        return false;
    const struct string *s = v.as.string;
    int64_t n = 0;
    bool inside = false;
    for (size_t at = 0; at < s->n_bytes;) {
        const bool part = char_is_word(utf8_read(s->data, &at));
        n += part && !inside;
        inside = part;
    }
    *out = value_int(n);
    return run_step(r, s->n_bytes / TEXT_ASKED_BYTES_PER_STEP);
}

/* ---- methods as filters -----------------------------------------------------------------------*/

static bool do_center(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    struct value slots[] = {value_int(80), value_absent()};
    return arguments_bind(r, "do_center", "value | width=", args, slots, 1) &&
           value_text(r, v, &v) && text_center(r, v, slots, out);
}

static bool do_trim(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct value chars = value_none();
    return arguments_bind(r, "do_trim", "value | chars=", args, &chars, 1) &&
           value_text(r, v, &v) && text_strip(r, v, &chars, out);
}

static bool has_markup(struct value v) { return v.kind == VALUE_STRING && v.as.string->safe; }

static bool do_replace(struct run *r, struct value v, const struct arguments *args,
                       struct value *out)
{
    struct value slots[] = {value_none(), value_none(), value_none()};
    if (!arguments_bind(r, "do_replace", "eval_ctx, s | old, new, count=", args, slots, 3))
        return false;
    if (slots[2].kind == VALUE_NONE)
        slots[2] = value_int(-1);
    if (!r->autoescape)
        return value_plain_text(r, v, &v) && value_plain_text(r, slots[0], &slots[0]) &&
               value_plain_text(r, slots[1], &slots[1]) && text_replace(r, v, slots, out);
    const bool escape = has_markup(slots[0]) || (has_markup(slots[1]) && !has_markup(v));
    return (escape ? value_escape(r, v, &v) : value_text(r, v, &v)) &&
           value_text(r, slots[0], &slots[0]) && value_text(r, slots[1], &slots[1]) &&
           text_replace(r, v, slots, out);
}

static bool do_format(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    if (args->n_positional > 0 && args->n_keywords > 0)
        return run_raise(r, FILTER_ARGUMENT_ERROR,
                         "can't handle positional and keyword arguments at the same time");
    struct value values;
    if (args->n_keywords > 0) {
        struct dict *dict = dict_make(r);
        if (dict == NULL)
            return false;
        for (int i = 0; i < args->n_keywords; i++)
            if (!dict_set(r, dict, value_string(args->keywords[i].name), args->keywords[i].value))
                return false;
        values = value_dict(dict);
    } else {
        struct list *list = list_make(r, (size_t)args->n_positional);
        if (list == NULL)
            return false;
        for (int i = 0; i < args->n_positional; i++)
            if (!list_add(r, list, args->positional[i]))
                return false;
        values = value_tuple(list);
    }
    return value_text(r, v, &v) && string_percent(r, v.as.string, values, out);
}

static bool do_string(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    return arguments_bind(r, "soft_str", "s |", args, NULL, 0) && value_text(r, v, out);
}

/* v.name(): what the filters do that ask for a method without looking at what they have. */
static bool need_text(struct run *r, struct value v, const char *method)
{
    if (v.kind == VALUE_STRING)
        return true;
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    return run_raise(r, ATTRIBUTE_ERROR, "'%s' object has no attribute '%s'", value_type_name(v),
                     method);
}

/* ---- lines ------------------------------------------------------------------------------------*/

/* The newline between two lines is who wrote the end of the first of them. */
static bool indent_lines(struct run *r, const struct string *s, const struct list *lines,
                         const struct string *margin, bool first, bool blank, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    b.safe = s->safe;
    bool user = false;
    for (uint32_t i = 0; i < lines->n; i++) {
        const struct string *line = lines->items[i].as.string;
        const bool indented = i == 0 ? first : blank || line->n_bytes > 0;
        if (!run_step(r, 1) || (i > 0 && !builder_add_char(&b, '\n', user)) ||
            (indented && !builder_add_string(&b, margin)) || !builder_add_string(&b, line))
            return false;
        user = line_end_is_users(s, line);
    }
    return builder_end(&b, out);
}

static bool indent_margin(struct run *r, struct value width, bool safe, struct value *out)
{
    struct value blank;
    if (width.kind == VALUE_STRING)
        *out = width;
    else if (!value_make_static(r, " ", &blank) || !value_binary(r, OP_MUL, blank, width, out))
        return false;
    return !safe || value_mark_safe(r, *out, true, out);
}

static bool do_indent(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    struct value slots[] = {value_int(4), value_bool(false), value_bool(false)}, margin, newline;
    bool first, blank;
    if (!arguments_bind(r, "do_indent", "s | width=, first=, blank=", args, slots, 3))
        return false;
    const bool safe = has_markup(v);
    if (!indent_margin(r, slots[0], safe, &margin) || !value_make_static(r, "\n", &newline))
        return false;
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    if (v.kind == VALUE_LIST) /* `+=` lengthens it by the newline, and then it has no lines */
        return need_text(r, v, "splitlines");
    if (v.kind == VALUE_TUPLE)
        return run_raise(r, TYPE_ERROR, "can only concatenate tuple (not \"str\") to tuple");
    if (v.kind != VALUE_STRING)
        return run_raise(r, TYPE_ERROR, "unsupported operand type(s) for +=: '%s' and '%s'",
                         value_type_name(v), "str");
    const struct value keep_ends = value_absent();
    struct value lines;
    if (!value_binary(r, OP_ADD, v, newline, &v) || !text_splitlines(r, v, &keep_ends, &lines) ||
        !value_truth(r, slots[1], &first) || !value_truth(r, slots[2], &blank))
        return false;
    return indent_lines(r, v.as.string, lines.as.list, margin.as.string, first, blank, out);
}

/* ---- truncate ---------------------------------------------------------------------------------*/

/* s[:n] of what is measured: a text in all that follows. */
static bool cut_words(struct run *r, const struct string *s, int64_t n, bool kill_words,
                      struct value end, struct value *out)
{
    if (n < 0)
        n = n + s->n_chars < 0 ? 0 : n + s->n_chars;
    size_t stop = string_byte_of(s, (size_t)n);
    for (size_t at = stop; !kill_words && at > 0; at--)
        if (s->data[at - 1] == ' ') {
            stop = at - 1;
            break;
        }
    struct value head;
    return run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP) && string_part(r, s, 0, stop, &head) &&
           value_binary(r, OP_ADD, head, end, out);
}

/* assert amount >= least, which the reference words so. */
static bool check_at_least(struct run *r, const char *name, struct value amount, int64_t least)
{
    struct value shown;
    bool fits;
    if (!value_less(r, amount, value_int(least), ">=", &fits))
        return false;
    return fits ||
           (value_text(r, amount, &shown) &&
            run_raise(r, ASSERTION_ERROR, "expected %s >= %lld, got %.*s", name, (long long)least,
                      (int)shown.as.string->n_bytes, shown.as.string->data));
}

static bool truncate_to(struct run *r, struct value v, struct value length, bool kill_words,
                        struct value end, struct value *out)
{
    struct value head;
    if (v.kind == VALUE_STRING && length.kind == VALUE_INT)
        return cut_words(r, v.as.string, length.as.integer, kill_words, end, out);
    return value_slice(r, v, value_none(), length, value_none(), &head) &&
           (kill_words ? value_binary(r, OP_ADD, head, end, out) : need_text(r, head, "rsplit"));
}

static bool do_truncate(struct run *r, struct value v, const struct arguments *args,
                        struct value *out)
{
    struct value slots[] = {value_int(255), value_bool(false), value_none(), value_none()}, limit;
    int64_t n_end, n;
    bool kill_words, fits;
    if (!value_make_static(r, "...", &slots[2]) ||
        !arguments_bind(r, "do_truncate", "env, s | length=, killwords=, end=, leeway=", args,
                        slots, 4))
        return false;
    if (slots[3].kind == VALUE_NONE)
        slots[3] = value_int(DEFAULT_LEEWAY);
    if (!value_length(r, slots[2], &n_end) || !check_at_least(r, "length", slots[0], n_end) ||
        !check_at_least(r, "leeway", slots[3], 0) || !value_length(r, v, &n) ||
        !value_binary(r, OP_ADD, slots[0], slots[3], &limit) ||
        !value_less(r, value_int(n), limit, "<=", &fits))
        return false;
    *out = v;
    return fits || (value_truth(r, slots[1], &kill_words) &&
                    value_binary(r, OP_SUB, slots[0], value_int(n_end), &limit) &&
                    truncate_to(r, v, limit, kill_words, slots[2], out));
}

static const struct filter filters[] = {
    {"capitalize", do_capitalize}, {"center", do_center}, {"format", do_format},
    {"indent", do_indent},         {"lower", do_lower},   {"replace", do_replace},
    {"string", do_string},         {"title", do_title},   {"trim", do_trim},
    {"truncate", do_truncate},     {"upper", do_upper},   {"wordcount", do_wordcount},
};
const struct filter_table text_filters = {filters, sizeof filters / sizeof *filters};
