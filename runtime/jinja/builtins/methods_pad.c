/* Methods of texts that put something in: padding, replacements, separators. What they put in keeps
 * its own marks; padding is ours. */
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/markup.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

static bool fill(struct builder *b, uint32_t c, bool user, int64_t n)
{
    char utf8[4];
    return builder_add_fill(b, utf8, utf8_write(utf8, c), user, n > 0 ? (size_t)n : 0);
}

/* ---- to a width -------------------------------------------------------------------------------*/

struct padding {
    int64_t width;
    uint32_t fill;
    bool user; /* wrote the fill */
};

static bool padding_init(struct run *r, struct padding *p, const struct value *slots)
{
    *p = (struct padding){.fill = ' '};
    if (!argument_integer(r, slots[0], &p->width))
        return false;
    if (value_is_absent(slots[1]))
        return true;
    if (slots[1].kind != VALUE_STRING)
        return run_raise(r, TYPE_ERROR, "The fill character must be a unicode character, not %s",
                         value_type_name(slots[1]));
    if (slots[1].as.string->n_chars != 1)
        return run_raise(r, TYPE_ERROR, "The fill character must be exactly one character long");
    struct text_walk walk = {.string = slots[1].as.string};
    text_walk_next(&walk, &p->fill, &p->user);
    return true;
}

static bool pad(struct run *r, const struct string *s, const struct padding *p, int64_t left,
                int64_t right, struct value *out)
{
    struct builder b;
    if (left + right <= 0)
        return string_part(r, s, 0, s->n_bytes, out);
    builder_init(&b, r);
    b.safe = s->safe;
    return fill(&b, p->fill, p->user, left) && builder_add_string(&b, s) &&
           fill(&b, p->fill, p->user, right) && builder_end(&b, out);
}

static int64_t missing(const struct string *s, int64_t width)
{
    return width > s->n_chars ? width - s->n_chars : 0;
}

static bool text_ljust(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    struct padding p;
    return padding_init(r, &p, slots) &&
           pad(r, self.as.string, &p, 0, missing(self.as.string, p.width), out);
}

static bool text_rjust(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    struct padding p;
    return padding_init(r, &p, slots) &&
           pad(r, self.as.string, &p, missing(self.as.string, p.width), 0, out);
}

bool text_center(struct run *r, struct value self, const struct value *slots, struct value *out)
{
    struct padding p;
    if (!padding_init(r, &p, slots))
        return false;
    const int64_t n = missing(self.as.string, p.width);
    const int64_t left = n / 2 + (n & p.width & 1); /* an odd one goes where Python puts it */
    return pad(r, self.as.string, &p, left, n - left, out);
}

static bool text_zfill(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    const struct string *s = self.as.string;
    int64_t width;
    if (!argument_integer(r, slots[0], &width))
        return false;
    const size_t sign = s->n_bytes > 0 && (s->data[0] == '+' || s->data[0] == '-');
    struct builder b;
    builder_init(&b, r);
    b.safe = s->safe;
    return builder_add_part(&b, s, 0, sign) && fill(&b, '0', false, missing(s, width)) &&
           builder_add_part(&b, s, sign, s->n_bytes) && builder_end(&b, out);
}

static bool text_expandtabs(struct run *r, struct value self, const struct value *slots,
                            struct value *out)
{
    int64_t tab, column = 0;
    if (!argument_integer_or(r, slots[0], 8, &tab) ||
        !run_step(r, self.as.string->n_bytes / TEXT_BYTES_PER_STEP))
        return false;
    struct builder b;
    builder_init(&b, r);
    b.safe = self.as.string->safe;
    struct text_walk walk = {.string = self.as.string};
    uint32_t c;
    bool user;
    while (text_walk_next(&walk, &c, &user)) {
        const int64_t n = c == '\t' ? tab > 0 ? tab - column % tab : 0 : 1;
        if (c == '\t' ? !fill(&b, ' ', user, n) : !builder_add_char(&b, c, user))
            return false;
        column = c == '\n' || c == '\r' ? 0 : column + n;
    }
    return builder_end(&b, out);
}

/* ---- replace and join -------------------------------------------------------------------------*/

/* Before each character and at the end, as long as the count lasts. */
static bool replace_empty(struct builder *b, const struct string *s, const struct string *with,
                          uint64_t max)
{
    size_t at = 0;
    for (uint64_t n = 0; n < max; n++) {
        const size_t begin = at;
        if (!run_step(b->run, 1) || !builder_add_string(b, with))
            return false;
        if (at == s->n_bytes)
            return true;
        utf8_read(s->data, &at);
        if (!builder_add_part(b, s, begin, at))
            return false;
    }
    return builder_add_part(b, s, at, s->n_bytes);
}

static bool replace_found(struct builder *b, const struct string *s, const struct string *old,
                          const struct string *with, uint64_t max)
{
    size_t begin = 0, found;
    for (uint64_t n = 0; n < max && (found = string_find(s, old, begin)) != SIZE_MAX; n++) {
        if (!run_step(b->run, 1) || !builder_add_part(b, s, begin, found) ||
            !builder_add_string(b, with))
            return false;
        begin = found + old->n_bytes;
    }
    return builder_add_part(b, s, begin, s->n_bytes);
}

bool text_replace(struct run *r, struct value self, const struct value *slots, struct value *out)
{
    const struct string *s = self.as.string;
    struct value with = slots[1];
    int64_t max;
    for (int i = 0; i < 2; i++)
        if (slots[i].kind != VALUE_STRING)
            return run_raise(r, TYPE_ERROR, "replace() argument %d must be str, not %s", i + 1,
                             slots[i].kind == VALUE_NONE ? "None" : value_type_name(slots[i]));
    if (!argument_integer_or(r, slots[2], -1, &max) ||
        !run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP) ||
        (s->safe && !value_escape(r, with, &with)))
        return false;
    struct builder b;
    builder_init(&b, r);
    b.safe = s->safe;
    const struct string *old = slots[0].as.string;
    const uint64_t limit = max < 0 ? UINT64_MAX : (uint64_t)max;
    return (old->n_bytes == 0 ? replace_empty(&b, s, with.as.string, limit)
                              : replace_found(&b, s, old, with.as.string, limit)) &&
           builder_end(&b, out);
}

static bool add_joined(struct builder *b, const struct string *between, struct value item, size_t i)
{
    if (between->safe && !value_escape(b->run, item, &item))
        return false;
    if (item.kind != VALUE_STRING)
        return run_raise(b->run, TYPE_ERROR, "sequence item %zu: expected str instance, %s found",
                         i, value_type_name(item));
    return (i == 0 || builder_add_string(b, between)) && builder_add_string(b, item.as.string);
}

bool text_join(struct run *r, struct value self, const struct value *slots, struct value *out)
{
    struct iterator *it;
    struct builder b;
    if (!value_is_iterable(slots[0]))
        return run_raise(r, TYPE_ERROR, "can only join an iterable");
    if (!value_iterate(r, slots[0], &it))
        return false;
    builder_init(&b, r);
    b.safe = self.as.string->safe;
    for (size_t i = 0;; i++) {
        struct value item;
        bool done = false;
        if (!iterator_next(r, it, &item, &done))
            return false;
        if (done)
            return builder_end(&b, out);
        if (!add_joined(&b, self.as.string, item, i))
            return false;
    }
}

static const struct method pad_list[] = {
    {.signature = {.name = "center", .style = CALL_PLACES, .min = 1, .max = 2},
     .call = text_center,
     .markup = "width, fillchar="},
    {.signature = {.name = "expandtabs", .style = CALL_NAMES, .names = {"tabsize"}},
     .call = text_expandtabs,
     .markup = "tabsize="},
    {.signature = {.name = "join", .style = CALL_ONE}, .call = text_join, .markup = "iterable"},
    {.signature = {.name = "ljust", .style = CALL_PLACES, .min = 1, .max = 2},
     .call = text_ljust,
     .markup = "width, fillchar="},
    {.signature = {.name = "replace", .style = CALL_PLACES, .min = 2, .max = 3},
     .call = text_replace,
     .markup = "old, new, count="},
    {.signature = {.name = "rjust", .style = CALL_PLACES, .min = 1, .max = 2},
     .call = text_rjust,
     .markup = "width, fillchar="},
    {.signature = {.name = "zfill", .style = CALL_ONE}, .call = text_zfill, .markup = "width"},
};
const struct method_table text_pad_methods = {pad_list, sizeof pad_list / sizeof *pad_list};
