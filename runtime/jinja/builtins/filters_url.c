/* Filters of addresses: percent encoding, and links around what looks like an address. */
#include "base/utf8.h"
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/builtins/urls.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/markup.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

#include <string.h>

/* ---- urlencode --------------------------------------------------------------------------------*/

/* In a query "/" is encoded too, and a space is "+". */
static bool add_encoded(struct builder *b, struct value v, bool query)
{
    if (!value_text(b->run, v, &v))
        return false;
    const struct string *s = v.as.string;
    struct text_walk walk = {.string = s};
    uint32_t c;
    bool user, ok = run_step(b->run, s->n_bytes / TEXT_BYTES_PER_STEP);
    for (size_t at = 0; ok && text_walk_next(&walk, &c, &user); at = walk.at) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-' || c == '~' ||
                           (c == '/' && !query);
        if (plain || (c == ' ' && query)) {
            ok = builder_add_char(b, plain ? c : '+', user);
            continue;
        }
        for (size_t i = at; ok && i < walk.at; i++) {
            static const char digits[] = "0123456789ABCDEF";
            const unsigned char byte = (unsigned char)s->data[i];
            const char code[3] = {'%', digits[byte >> 4], digits[byte & 15]};
            ok = builder_add(b, code, sizeof code, user);
        }
    }
    return ok;
}

static bool do_urlencode(struct run *r, struct value v, const struct arguments *args,
                         struct value *out)
{
    struct builder b;
    struct iterator *it;
    builder_init(&b, r);
    if (!arguments_bind(r, "do_urlencode", "value |", args, NULL, 0))
        return false;
    if (v.kind == VALUE_STRING || !value_is_iterable(v))
        return add_encoded(&b, v, false) && builder_end(&b, out);
    if (v.kind == VALUE_DICT && !dict_view_make(r, v.as.dict, DICT_ITEMS, &v))
        return false;
    if (!value_iterate(r, v, &it))
        return false;
    for (bool any = false;; any = true) {
        struct value pair, items[2];
        bool done = false;
        if (!iterator_next(r, it, &pair, &done))
            return false;
        if (done)
            return builder_end(&b, out);
        if (!value_unpack(r, pair, 2, items) || (any && !builder_add_text(&b, "&")) ||
            !add_encoded(&b, items[0], true) || !builder_add_text(&b, "=") ||
            !add_encoded(&b, items[1], true))
            return false;
    }
}

/* ---- urlize -----------------------------------------------------------------------------------*/

struct links {
    struct builder *out;
    const struct string *text;       /* escaped */
    const struct string *attributes; /* ` rel="…" target="…"` */
    struct value trim;
    const struct list *schemes;
};

static bool begins_with(const struct string *s, size_t begin, size_t end, const char *text)
{
    const size_t n = strlen(text);
    return end - begin >= n && memcmp(s->data + begin, text, n) == 0;
}

/* `shown` characters of the address, and dots, when it is longer than the limit. */
static bool add_shown(struct links *l, size_t begin, size_t end)
{
    struct value part, head;
    bool longer;
    int64_t n;
    if (l->trim.kind == VALUE_NONE)
        return builder_add_part(l->out, l->text, begin, end);
    struct run *r = l->out->run;
    return string_part(r, l->text, begin, end, &part) && value_length(r, part, &n) &&
           value_less(r, value_int(n), l->trim, ">", &longer) &&
           (!longer ? builder_add_string(l->out, part.as.string)
                    : value_slice(r, part, value_none(), l->trim, value_none(), &head) &&
                          builder_add_string(l->out, head.as.string) &&
                          builder_add_text(l->out, "..."));
}

static bool add_link(struct links *l, const char *before, size_t begin, size_t end,
                     bool with_attributes, size_t shown_from, bool trimmed)
{
    struct builder *b = l->out;
    return builder_printf(b, "<a href=\"%s", before) && builder_add_part(b, l->text, begin, end) &&
           builder_add_text(b, "\"") &&
           (!with_attributes || builder_add_string(b, l->attributes)) && builder_add_text(b, ">") &&
           (trimmed ? add_shown(l, begin, end) : builder_add_part(b, l->text, shown_from, end)) &&
           builder_add_text(b, "</a>");
}

static bool add_middle(struct links *l, size_t begin, size_t end)
{
    const struct string *s = l->text;
    if (url_is_web(s, begin, end)) {
        const bool whole =
            begins_with(s, begin, end, "https://") || begins_with(s, begin, end, "http://");
        return add_link(l, whole ? "" : "https://", begin, end, true, begin, true);
    }
    if (begins_with(s, begin, end, "mailto:") && url_is_mail(s, begin + 7, end))
        return add_link(l, "", begin, end, false, begin + 7, false);
    const bool may_be_mail =
        memchr(s->data + begin, ':', end - begin) == NULL && !begins_with(s, begin, end, "www.");
    if (may_be_mail && url_is_mail(s, begin, end))
        return add_link(l, "mailto:", begin, end, false, begin, false);
    for (uint32_t i = 0; i < l->schemes->n; i++) {
        const struct string *scheme = l->schemes->items[i].as.string;
        if (end - begin > scheme->n_bytes &&
            memcmp(s->data + begin, scheme->data, scheme->n_bytes) == 0)
            return add_link(l, "", begin, end, true, begin, false);
    }
    return builder_add_part(l->out, s, begin, end);
}

static size_t count_in(const struct string *s, size_t begin, size_t end, const char *text)
{
    size_t n = 0;
    for (size_t at = begin; at < end; at++)
        if (begins_with(s, at, end, text)) {
            n++;
            at += strlen(text) - 1;
        }
    return n;
}

/* Brackets that the word opened and did not close are closed by what stands behind it. */
static size_t balance(const struct string *s, size_t begin, size_t middle, size_t end)
{
    static const char *const pairs[][2] = {{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}};
    for (int i = 0; i < 3; i++) {
        const char *open = pairs[i][0], *close = pairs[i][1];
        const size_t n_open = count_in(s, begin, middle, open);
        if (n_open <= count_in(s, begin, middle, close))
            continue;
        const size_t n_close = count_in(s, middle, end, close);
        for (size_t k = 0; k < n_open && k < n_close; k++) {
            while (!begins_with(s, middle, end, close))
                middle++;
            middle += strlen(close);
        }
    }
    return middle;
}

static bool add_word(struct links *l, size_t begin, size_t end)
{
    const struct string *s = l->text;
    size_t head = begin, tail = end;
    for (;;) {
        if (head < end && (s->data[head] == '(' || s->data[head] == '<'))
            head++;
        else if (begins_with(s, head, end, "&lt;"))
            head += 4;
        else
            break;
    }
    for (;;) {
        if (tail > head && strchr(")>.,\n", s->data[tail - 1]) != NULL && s->data[tail - 1] != 0)
            tail--;
        else if (tail - head >= 4 && memcmp(s->data + tail - 4, "&gt;", 4) == 0)
            tail -= 4;
        else
            break;
    }
    tail = balance(s, head, tail, end);
    return run_step(l->out->run, 1 + (end - begin) / TEXT_BYTES_PER_STEP + l->schemes->n) &&
           builder_add_part(l->out, s, begin, head) && add_middle(l, head, tail) &&
           builder_add_part(l->out, s, tail, end);
}

static bool add_words(struct links *l)
{
    const struct string *s = l->text;
    size_t begin = 0;
    for (size_t at = 0; at < s->n_bytes;) {
        const size_t here = at;
        if (!char_is_space(utf8_read(s->data, &at)))
            continue;
        if ((begin < here && !add_word(l, begin, here)) || !builder_add_part(l->out, s, here, at))
            return false;
        begin = at;
    }
    return begin == s->n_bytes || add_word(l, begin, s->n_bytes);
}

/* The words of `rel` and what the environment adds, each once, in order. */
static bool add_rel(struct builder *b, struct value rel, bool nofollow)
{
    struct run *r = b->run;
    const struct value slots[] = {value_absent(), value_absent()};
    struct value words, added[2];
    bool is_true;
    if (!value_truth(r, rel, &is_true))
        return false;
    if (is_true && rel.kind != VALUE_STRING)
        return run_raise(r, ATTRIBUTE_ERROR, "'%s' object has no attribute 'split'",
                         value_type_name(rel));
    if ((!is_true && !value_make_static(r, "", &rel)) || !text_split(r, rel, slots, &words) ||
        !value_make_static(r, "nofollow", &added[0]) ||
        !value_make_static(r, "noopener", &added[1]))
        return false;
    struct list *all;
    if (!value_items(r, words, &all) || (nofollow && !list_add(r, all, added[0])) ||
        !list_add(r, all, added[1]))
        return false;
    const struct filter *sort = filter_find("sort", 4), *unique = filter_find("unique", 6);
    const struct string case_sensitive = {.data = "case_sensitive", .n_bytes = 14, .n_chars = 14};
    const struct keyword keyword = {&case_sensitive, value_bool(true)};
    const struct arguments exact = {.keywords = &keyword, .n_keywords = 1};
    struct value ordered, space;
    return unique->apply(r, value_list(all), &exact, &ordered) &&
           sort->apply(r, ordered, &exact, &ordered) && value_make_static(r, " ", &space) &&
           text_join(r, space, &ordered, &ordered) && value_escape(r, ordered, &ordered) &&
           builder_add_text(b, " rel=\"") && builder_add_string(b, ordered.as.string) &&
           builder_add_text(b, "\"");
}

static bool link_attributes(struct run *r, const struct value *slots, struct value *out)
{
    struct builder b;
    struct value target;
    bool nofollow, has_target;
    builder_init(&b, r);
    if (!value_truth(r, slots[1], &nofollow) || !add_rel(&b, slots[3], nofollow) ||
        !value_truth(r, slots[2], &has_target))
        return false;
    if (has_target && (!value_escape(r, slots[2], &target) || !builder_add_text(&b, " target=\"") ||
                       !builder_add_string(&b, target.as.string) || !builder_add_text(&b, "\"")))
        return false;
    return builder_end(&b, out);
}

static bool link_schemes(struct run *r, struct value v, struct list **out)
{
    bool is_true;
    if (v.kind == VALUE_NONE || (v.kind == VALUE_UNDEFINED && value_truth(r, v, &is_true))) {
        *out = list_make(r, 0);
        return *out != NULL;
    }
    if (!value_items(r, v, out))
        return false;
    for (uint32_t i = 0; i < (*out)->n; i++) {
        const struct value scheme = (*out)->items[i];
        if (scheme.kind != VALUE_STRING)
            return run_raise(r, TYPE_ERROR, "expected string or bytes-like object, got '%s'",
                             value_type_name(scheme));
        if (url_is_scheme(scheme.as.string))
            continue;
        struct builder b;
        builder_init(&b, r);
        return builder_add_repr(&b, scheme) &&
               builder_add_text(&b, " is not a valid URI scheme prefix.") &&
               run_raise_text(r, FILTER_ARGUMENT_ERROR, b.data, b.n);
    }
    return true;
}

static bool do_urlize(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    /* trim_url_limit, nofollow, target, rel, extra_schemes */
    struct value slots[] = {value_none(), value_bool(false), value_none(), value_none(),
                            value_none()};
    struct value attributes;
    struct list *schemes;
    struct builder b;
    builder_init(&b, r);
    if (!arguments_bind(r, "do_urlize",
                        "eval_ctx, value | trim_url_limit=, nofollow=, target=, rel=, "
                        "extra_schemes=",
                        args, slots, 5) ||
        !link_attributes(r, slots, &attributes) || !link_schemes(r, slots[4], &schemes) ||
        !value_escape(r, v, &v))
        return false;
    struct string text = *v.as.string;
    text.safe = false;
    struct links links = {&b, &text, attributes.as.string, slots[0], schemes};
    b.safe = r->autoescape;
    return add_words(&links) && builder_end(&b, out);
}

static const struct filter filters[] = {{"urlencode", do_urlencode}, {"urlize", do_urlize}};
const struct filter_table url_filters = {filters, sizeof filters / sizeof *filters};
