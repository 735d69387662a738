/* Methods of texts that cut and join. Parts share the bytes of the text they are cut from. */
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

#include <string.h>

/* \n, \r, \v, \f, U+001C to U+001E, U+0085, U+2028, U+2029 */
static bool char_ends_line(uint32_t c)
{
    return (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

/* ---- strip ------------------------------------------------------------------------------------*/

enum side { LEFT = 1, RIGHT = 2, BOTH = 3 };

/* `chars` NULL: white space. */
static bool is_stripped(uint32_t c, const struct string *chars)
{
    if (chars == NULL)
        return char_is_space(c);
    for (size_t at = 0; at < chars->n_bytes;)
        if (utf8_read(chars->data, &at) == c)
            return true;
    return false;
}

static bool strip_side(struct run *r, struct value self, struct value chars, enum side side,
                       const char *name, struct value *out)
{
    const struct string *s = self.as.string;
    const bool is_text = chars.kind == VALUE_STRING;
    if (!is_text && chars.kind != VALUE_NONE && !value_is_absent(chars))
        return run_raise(r, TYPE_ERROR, "%s arg must be None or str", name);
    const struct string *set = is_text ? chars.as.string : NULL;
    const size_t looks = set != NULL ? set->n_bytes : 1; /* for each character, at most */
    size_t begin = 0, end = s->n_bytes;
    for (size_t next = 0; (side & LEFT) && begin < end; begin = next) {
        if (!run_step(r, looks / TEXT_BYTES_PER_STEP))
            return false;
        if (!is_stripped(utf8_read(s->data, &next), set))
            break;
    }
    while ((side & RIGHT) && begin < end) {
        const size_t before = utf8_before(s->data, end);
        size_t at = before;
        if (!run_step(r, looks / TEXT_BYTES_PER_STEP))
            return false;
        if (!is_stripped(utf8_read(s->data, &at), set))
            break;
        end = before;
    }
    return run_step(r, (s->n_bytes - (end - begin)) / TEXT_ASKED_BYTES_PER_STEP) &&
           string_part(r, s, begin, end, out);
}

bool text_strip(struct run *r, struct value self, const struct value *slots, struct value *out)
{
    return strip_side(r, self, slots[0], BOTH, "strip", out);
}

static bool text_lstrip(struct run *r, struct value self, const struct value *slots,
                        struct value *out)
{
    return strip_side(r, self, slots[0], LEFT, "lstrip", out);
}

static bool text_rstrip(struct run *r, struct value self, const struct value *slots,
                        struct value *out)
{
    return strip_side(r, self, slots[0], RIGHT, "rstrip", out);
}

/* ---- split ------------------------------------------------------------------------------------*/

static bool add_part(struct run *r, struct list *list, const struct string *s, size_t begin,
                     size_t end)
{
    struct value part;
    return run_step(r, 1) && string_part(r, s, begin, end, &part) && list_add(r, list, part);
}

static bool split_space(struct run *r, const struct string *s, uint64_t max, struct list *list)
{
    size_t at = 0, next = 0;
    for (;;) {
        for (; at < s->n_bytes && char_is_space(utf8_read(s->data, &next)); at = next)
            ;
        if (at == s->n_bytes)
            return true;
        const size_t begin = at;
        if (list->n == max) /* the rest, with white space at its end */
            return add_part(r, list, s, begin, s->n_bytes);
        for (next = at; at < s->n_bytes && !char_is_space(utf8_read(s->data, &next)); at = next)
            ;
        if (!add_part(r, list, s, begin, at))
            return false;
        next = at;
    }
}

static bool split_by(struct run *r, const struct string *s, const struct string *by, uint64_t max,
                     struct list *list)
{
    size_t begin = 0, found;
    while (list->n < max && (found = string_find(s, by, begin)) != SIZE_MAX) {
        if (!add_part(r, list, s, begin, found))
            return false;
        begin = found + by->n_bytes;
    }
    return add_part(r, list, s, begin, s->n_bytes);
}

static bool rsplit_space(struct run *r, const struct string *s, uint64_t max, struct list *list)
{
    size_t end = s->n_bytes;
    for (;;) {
        size_t before = end, at;
        while (end > 0 &&
               (at = before = utf8_before(s->data, end), char_is_space(utf8_read(s->data, &at))))
            end = before;
        if (end == 0)
            break;
        size_t begin = end;
        if (list->n == max) { /* the rest, with white space at its beginning */
            if (!add_part(r, list, s, 0, end))
                return false;
            break;
        }
        while (begin > 0 &&
               (at = before = utf8_before(s->data, begin), !char_is_space(utf8_read(s->data, &at))))
            begin = before;
        if (!add_part(r, list, s, begin, end))
            return false;
        end = begin;
    }
    list_turn(list);
    return true;
}

static bool rsplit_by(struct run *r, const struct string *s, const struct string *by, uint64_t max,
                      struct list *list)
{
    size_t end = s->n_bytes, at = end;
    while (list->n < max && at >= by->n_bytes) {
        const size_t begin = at - by->n_bytes;
        if (memcmp(s->data + begin, by->data, by->n_bytes) != 0) {
            at--;
            if (s->data[begin] == by->data[0] && !run_step(r, by->n_bytes / TEXT_BYTES_PER_STEP))
                return false;
            continue;
        }
        if (!add_part(r, list, s, at, end))
            return false;
        at = end = begin;
    }
    if (!add_part(r, list, s, 0, end))
        return false;
    list_turn(list);
    return true;
}

static bool split_either(struct run *r, struct value self, const struct value *slots,
                         bool from_right, struct value *out)
{
    const struct string *s = self.as.string;
    int64_t max = -1;
    if (!argument_integer_or(r, slots[1], -1, &max))
        return false;
    const uint64_t limit = max < 0 ? UINT64_MAX : (uint64_t)max;
    struct list *list = list_make(r, 0);
    if (list == NULL || !run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP))
        return false;
    *out = value_list(list);
    if (slots[0].kind == VALUE_NONE || value_is_absent(slots[0]))
        return (from_right ? rsplit_space : split_space)(r, s, limit, list);
    if (slots[0].kind != VALUE_STRING)
        return run_raise(r, TYPE_ERROR, "must be str or None, not %s", value_type_name(slots[0]));
    if (slots[0].as.string->n_bytes == 0)
        return run_raise(r, VALUE_ERROR, "empty separator");
    return (from_right ? rsplit_by : split_by)(r, s, slots[0].as.string, limit, list);
}

bool text_split(struct run *r, struct value self, const struct value *slots, struct value *out)
{
    return split_either(r, self, slots, false, out);
}

static bool text_rsplit(struct run *r, struct value self, const struct value *slots,
                        struct value *out)
{
    return split_either(r, self, slots, true, out);
}

bool text_splitlines(struct run *r, struct value self, const struct value *slots, struct value *out)
{
    const struct string *s = self.as.string;
    int64_t keep_ends;
    struct list *list = list_make(r, 0);
    if (list == NULL || !argument_integer_or(r, slots[0], 0, &keep_ends) ||
        !run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP))
        return false;
    for (size_t begin = 0, at = 0; at < s->n_bytes; begin = at) {
        size_t end = at;
        for (bool ended = false; at < s->n_bytes && !ended;) {
            end = at;
            const uint32_t c = utf8_read(s->data, &at);
            ended = char_ends_line(c);
            if (c == '\r' && at < s->n_bytes && s->data[at] == '\n')
                at++;
            if (!ended)
                end = at;
        }
        if (!add_part(r, list, s, begin, keep_ends ? at : end))
            return false;
    }
    *out = value_list(list);
    return true;
}

bool line_end_is_users(const struct string *s, const struct string *line)
{
    const size_t end = (size_t)(line->data - s->data) + line->n_bytes;
    return end < s->n_bytes && string_has_user(s, end, end + 1);
}

static bool partition_at(struct run *r, const struct string *s, const struct string *by,
                         size_t found, bool rest_first, struct value *out)
{
    struct list *parts = list_make(r, 3);
    if (parts == NULL)
        return false;
    const size_t n = s->n_bytes;
    size_t cuts[4] = {0, n, n, n};
    if (found != SIZE_MAX)
        cuts[1] = found, cuts[2] = found + by->n_bytes;
    else if (rest_first)
        cuts[1] = cuts[2] = 0;
    for (int i = 0; i < 3; i++)
        if (!add_part(r, parts, s, cuts[i], cuts[i + 1]))
            return false;
    *out = value_tuple(parts);
    return true;
}

static bool partition_either(struct run *r, struct value self, struct value by, bool from_right,
                             struct value *out)
{
    const struct string *s = self.as.string;
    if (by.kind != VALUE_STRING)
        return run_raise(r, TYPE_ERROR, "must be str, not %s", value_type_name(by));
    if (by.as.string->n_bytes == 0)
        return run_raise(r, VALUE_ERROR, "empty separator");
    size_t found = string_find(s, by.as.string, 0);
    for (size_t next = found; from_right && next != SIZE_MAX;) {
        found = next;
        next = string_find(s, by.as.string, found + 1);
        if (!run_step(r, by.as.string->n_bytes / TEXT_BYTES_PER_STEP))
            return false;
    }
    return run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP) &&
           partition_at(r, s, by.as.string, found, from_right, out);
}

static bool text_partition(struct run *r, struct value self, const struct value *slots,
                           struct value *out)
{
    return partition_either(r, self, slots[0], false, out);
}

static bool text_rpartition(struct run *r, struct value self, const struct value *slots,
                            struct value *out)
{
    return partition_either(r, self, slots[0], true, out);
}

static const struct method cut_list[] = {
    {.signature = {.name = "lstrip", .style = CALL_PLACES, .max = 1},
     .call = text_lstrip,
     .markup = "chars="},
    {.signature = {.name = "partition", .style = CALL_ONE},
     .call = text_partition,
     .markup = "sep"},
    {.signature = {.name = "rpartition", .style = CALL_ONE},
     .call = text_rpartition,
     .markup = "sep"},
    {.signature = {.name = "rsplit", .style = CALL_NAMES, .names = {"sep", "maxsplit"}},
     .call = text_rsplit,
     .markup = "sep=, maxsplit="},
    {.signature = {.name = "rstrip", .style = CALL_PLACES, .max = 1},
     .call = text_rstrip,
     .markup = "chars="},
    {.signature = {.name = "split", .style = CALL_NAMES, .names = {"sep", "maxsplit"}},
     .call = text_split,
     .markup = "sep=, maxsplit="},
    {.signature = {.name = "splitlines", .style = CALL_NAMES, .names = {"keepends"}},
     .call = text_splitlines,
     .markup = "keepends="},
    {.signature = {.name = "strip", .style = CALL_PLACES, .max = 1},
     .call = text_strip,
     .markup = "chars="},
};
const struct method_table text_cut_methods = {cut_list, sizeof cut_list / sizeof *cut_list};
