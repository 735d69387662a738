#include "tests/unit/runtime_jinja/values.h"

#include "runtime/jinja/values/access.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run start_run(void)
{
    return (struct run){.max_steps = 10 * 1000 * 1000, .max_bytes = 64 << 20};
}

static void skip(const char **at, const char *what)
{
    while (**at != '\0' && strchr(what, **at) != NULL)
        (*at)++;
}

static struct value read_text(struct run *r, const char **at, bool user, bool safe)
{
    struct builder b;
    struct value v;
    builder_init(&b, r);
    for ((*at)++; **at != '\''; (*at)++) {
        char c = **at;
        CHECK(c != '\0');
        if (c == '\\') {
            c = *++(*at);
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == '0' ? '\0' : c;
        }
        CHECK(builder_add(&b, &c, 1, user));
    }
    (*at)++;
    b.safe = safe;
    CHECK(builder_end(&b, &v));
    return v;
}

static struct value read_value(struct run *r, const char **at);

static struct value read_list(struct run *r, const char **at)
{
    const char *end = **at == '[' ? "]" : ")";
    struct list *list = list_make(r, 0);
    for ((*at)++, skip(at, " "); **at != *end; skip(at, ", "))
        CHECK(list_add(r, list, read_value(r, at)));
    (*at)++;
    return *end == ']' ? value_list(list) : value_tuple(list);
}

static struct value read_dict(struct run *r, const char **at)
{
    struct dict *dict = dict_make(r);
    for ((*at)++; **at != '}'; skip(at, ", ")) {
        const struct value key = read_value(r, at);
        skip(at, ": ");
        CHECK(dict_set(r, dict, key, read_value(r, at)));
    }
    (*at)++;
    return value_dict(dict);
}

static struct value read_word(struct run *r, const char **at)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    const size_t n = strspn(*at, letters);
    const char *word = *at;
    *at += n;
    if (strncmp(word, "True", n) == 0 || strncmp(word, "False", n) == 0)
        return value_bool(word[0] == 'T');
    if (strncmp(word, "None", n) == 0)
        return value_none();
    if (strncmp(word, "inf", n) == 0 || strncmp(word, "nan", n) == 0)
        return value_float(word[0] == 'i' ? INFINITY : NAN);
    struct value name, undefined;
    CHECK(n > 0);
    CHECK(value_make_text(r, word, n, false, &name));
    CHECK(value_make_undefined(r, (struct value){.kind = VALUE_UNDEFINED}, name, &undefined));
    return undefined;
}

static struct value read_number(const char **at)
{
    const char *text = *at;
    char *end, *end_of_float;
    const int64_t i = strtoll(text, &end, 10);
    const double d = strtod(text, &end_of_float);
    *at = end_of_float;
    return end == end_of_float ? value_int(i) : value_float(d);
}

static struct value read_value(struct run *r, const char **at)
{
    skip(at, " ");
    switch (**at) {
    case '\'':
        return read_text(r, at, false, false);
    case '[':
    case '(':
        return read_list(r, at);
    case '{':
        return read_dict(r, at);
    default:
        break;
    }
    if ((**at == 'u' || **at == 'm') && (*at)[1] == '\'') {
        const bool user = *(*at)++ == 'u';
        return read_text(r, at, user, !user);
    }
    if (**at == '-' || (**at >= '0' && **at <= '9'))
        return strncmp(*at, "-inf", 4) == 0 ? (*at += 4, value_float(-INFINITY)) : read_number(at);
    return read_word(r, at);
}

struct value value_of(struct run *r, const char *literal)
{
    const char *at = literal;
    const struct value v = read_value(r, &at);
    skip(&at, " ");
    CHECK_STR(at, "");
    return v;
}

const char *outcome(struct run *r, bool ok, struct value v)
{
    static char text[4096];
    if (!ok) {
        snprintf(text, sizeof text, "%s: %s", exception_name(r->exception), r->message);
        r->exception = EXCEPTION_NONE;
        return text;
    }
    CHECK_EQ(r->exception, EXCEPTION_NONE);
    CHECK_EQ(r->depth, 0);
    CHECK(value_repr(r, v, &v));
    const struct string *s = v.as.string;
    snprintf(text, sizeof text, "%.*s", (int)s->n_bytes, s->data);
    return text;
}

const char *marked(struct run *r, struct value v)
{
    static char text[4096];
    const struct string *s = v.as.string;
    CHECK_EQ(v.kind, VALUE_STRING);
    CHECK_EQ(s->n_chars, text_count_chars(s->data, s->n_bytes));
    struct builder b;
    builder_init(&b, r);
    size_t at = 0;
    for (uint32_t i = 0; i < s->n_marks; i++) {
        const struct mark mark = s->marks[i];
        CHECK(mark.begin < mark.end && mark.end <= s->n_bytes);
        CHECK(i == 0 || s->marks[i - 1].end < mark.begin);
        CHECK(builder_add(&b, s->data + at, mark.begin - at, false));
        CHECK(builder_printf(&b, "‹%.*s›", (int)(mark.end - mark.begin), s->data + mark.begin));
        at = mark.end;
    }
    CHECK(builder_add(&b, s->data + at, s->n_bytes - at, false));
    snprintf(text, sizeof text, "%.*s", (int)b.n, b.n > 0 ? b.data : "");
    return text;
}
