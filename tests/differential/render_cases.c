/* Renders templates that come as lines of JSON, for tests/differential/jinja.py.
 *
 * In:  {"template": "…", "context": {…}, "now": [2024, 7, 26, 12, 34, 56]}
 * Out: {"text": "…"} or {"error": "line 1, column 4: UndefinedError: …"} */
#include "base/bytes.h"
#include "base/error.h"
#include "base/system.h"
#include "runtime/jinja/jinja.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static int number(const json_t *list, size_t i)
{
    return (int)json_integer_value(json_array_get(list, i));
}

static bool render(const json_t *request, struct jinja_output *out, struct error *err)
{
    const json_t *source = json_object_get(request, "template");
    const json_t *now = json_object_get(request, "now");
    const struct calendar_time moment = {number(now, 0), number(now, 1), number(now, 2),
                                         number(now, 3), number(now, 4), number(now, 5)};
    const struct jinja_input input = {.users = json_object_get(request, "context"), .now = &moment};
    struct jinja_template *t = NULL;
    const bool good =
        jinja_compile(&t, json_string_value(source), json_string_length(source), err) &&
        jinja_render(t, &input, out, err);
    jinja_destroy(t);
    return good;
}

static json_t *answer(const char *line)
{
    json_error_t why;
    json_t *request = json_loads(line, JSON_ALLOW_NUL, &why);
    if (request == NULL)
        return json_pack("{s:s}", "refused", why.text);
    struct jinja_output out = {0};
    struct error err = {0};
    json_t *reply = json_object();
    if (render(request, &out, &err))
        json_object_set_new(reply, "text",
                            json_stringn(out.text.len ? out.text.data : "", out.text.len));
    else
        json_object_set_new(reply, "error", json_stringn(err.text, strlen(err.text)));
    jinja_output_release(&out);
    json_decref(request);
    return reply;
}

/* False at the end of the input. */
static bool read_line(struct bytes *line)
{
    bytes_clear(line);
    for (int c = getc(stdin); c != EOF; c = getc(stdin)) {
        if (c == '\n')
            return true;
        bytes_add_char(line, (char)c);
    }
    return line->len > 0;
}

int main(void)
{
    struct bytes line = {0};
    while (read_line(&line)) {
        json_t *reply = answer(line.data);
        json_dumpf(reply, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(reply);
    }
    bytes_release(&line);
    return 0;
}
