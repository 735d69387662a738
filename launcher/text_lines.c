#include "launcher/text_lines.h"

#include "base/error.h"

#include <jansson.h>

/* False at the end of the input, or when the line is too long. */
static bool read_line(FILE *in, struct bytes *line, struct error *err)
{
    bytes_clear(line);
    int c = getc_unlocked(in);
    if (c == EOF)
        return false;
    for (; c != EOF && c != '\n'; c = getc_unlocked(in))
        if (!bytes_add_char(line, (char)c))
            return error_set(err, ERROR_INPUT, "longer than %zu bytes", line->max);
    return true;
}

static bool run(FILE *in, FILE *out, struct bytes *line, text_line_fn *answer, void *context,
                struct error *err)
{
    for (size_t n = 1; read_line(in, line, err); n++) {
        if (!answer(context, line, out, err))
            return error_in(err, "line %zu of the input", n);
        if (fflush(out) != 0)
            return error_errno(err, "writing the answer to line %zu", n);
    }
    if (err->kind != ERROR_NONE)
        return error_in(err, "a line of the input");
    return !ferror(in) || error_errno(err, "reading the input");
}

bool text_lines_run(FILE *in, FILE *out, size_t max_bytes, text_line_fn *answer, void *context,
                    struct error *err)
{
    struct bytes line = {.max = max_bytes};
    const bool good = run(in, out, &line, answer, context, err);
    bytes_release(&line);
    return good;
}

void text_lines_write(FILE *out, const struct bytes *text)
{
    json_t *json = json_stringn(text->data ? text->data : "", text->len);
    json_dumpf(json, out, JSON_ENCODE_ANY);
    json_decref(json);
    fputc('\n', out);
}
