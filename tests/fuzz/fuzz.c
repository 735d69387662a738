#include "tests/fuzz/fuzz.h"

#include "base/system.h"
#include "base/utf8.h"

#include <string.h>

/* Enough for every seed, and few enough for hundreds of inputs a second. */
enum { MAX_STEPS = 20000, MAX_MEMORY_BYTES = 8 << 20, MAX_OUTPUT_BYTES = 1 << 20 };

static bool is_border(const struct bytes *text, size_t at)
{
    return at == text->len || ((unsigned char)text->data[at] & 0xC0) != 0x80;
}

void check_output(const struct jinja_output *out)
{
    const struct bytes *text = &out->text;
    size_t end = 0;
    check(text->len == 0 || utf8_valid_bytes(text->data, text->len) == text->len);
    for (size_t i = 0; i < out->n_users; i++) {
        check(out->users[i].begin >= end && out->users[i].end > out->users[i].begin);
        end = out->users[i].end;
        check(end <= text->len);
        check(is_border(text, out->users[i].begin) && is_border(text, end));
    }
}

bool render_checked(const struct jinja_template *t, const json_t *users, struct jinja_output *out)
{
    static const struct calendar_time now = {.year = 2024, .month = 7, .day = 26};
    struct error err = {0};
    const struct jinja_input input = {.users = users,
                                      .now = &now,
                                      .limits = {.max_steps = MAX_STEPS,
                                                 .max_memory_bytes = MAX_MEMORY_BYTES,
                                                 .max_output_bytes = MAX_OUTPUT_BYTES}};
    if (!jinja_render(t, &input, out, &err)) {
        check_error(&err);
        return false;
    }
    check(err.kind == ERROR_NONE);
    check_output(out);
    return true;
}
