#include "tests/unit/runtime_jinja/rendering.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "tests/test.h"

#include <string.h>

static json_t *read_variables(const char *variables)
{
    if (variables == NULL)
        return NULL;
    char *json = memory_copy_text(variables);
    for (char *c = json; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    json_t *object = json_loads(json, 0, NULL);
    if (object == NULL)
        test_fail(__FILE__, __LINE__, "no JSON: %s", json);
    memory_free(json);
    return object;
}

static bool render(const char *source, const char *variables, struct jinja_limits limits,
                   struct jinja_output *out, struct error *err)
{
    struct jinja_template *t = NULL;
    json_t *object = read_variables(variables);
    const struct jinja_input input = {.users = object, .limits = limits};
    *out = (struct jinja_output){0};
    const bool good =
        jinja_compile(&t, source, strlen(source), err) && jinja_render(t, &input, out, err);
    jinja_destroy(t);
    json_decref(object);
    return good;
}

static void check_same(const char *source, const struct bytes *text, const char *want)
{
    const char *got = text->data ? text->data : "";
    if (strcmp(got, want) != 0)
        test_fail(__FILE__, __LINE__, "%s\n  gives \"%s\"\n  want  \"%s\"", source, got, want);
}

static void render_well(const char *source, const char *variables, struct jinja_output *out)
{
    struct error err = {0};
    if (!render(source, variables, (struct jinja_limits){0}, out, &err))
        test_fail(__FILE__, __LINE__, "%s\n  fails: %s", source, err.text);
}

void check_text(const char *source, const char *variables, const char *want)
{
    struct jinja_output out;
    render_well(source, variables, &out);
    check_same(source, &out.text, want);
    jinja_output_release(&out);
}

void check_marks(const char *source, const char *variables, const char *want)
{
    struct jinja_output out;
    struct bytes shown = {0};
    size_t done = 0;
    render_well(source, variables, &out);
    for (size_t i = 0; i < out.n_users; i++) {
        const struct text_range part = out.users[i];
        CHECK(part.begin < part.end && part.end <= out.text.len);
        CHECK(i == 0 || out.users[i - 1].end < part.begin);
        bytes_add(&shown, out.text.data + done, part.begin - done);
        bytes_add_text(&shown, "‹");
        bytes_add(&shown, out.text.data + part.begin, part.end - part.begin);
        bytes_add_text(&shown, "›");
        done = part.end;
    }
    if (out.text.len > done)
        bytes_add(&shown, out.text.data + done, out.text.len - done);
    check_same(source, &shown, want);
    bytes_release(&shown);
    jinja_output_release(&out);
}

void check_fails_within(const char *source, const char *variables, struct jinja_limits limits,
                        const char *want)
{
    struct jinja_output out;
    struct error err = {0};
    const bool good = render(source, variables, limits, &out, &err);
    if (good)
        test_fail(__FILE__, __LINE__, "%s\n  gives \"%s\"\n  want an error: %s", source,
                  out.text.data ? out.text.data : "", want);
    if (strstr(err.text, want) == NULL)
        test_fail(__FILE__, __LINE__, "%s\n  fails: %s\n  want: %s", source, err.text, want);
    jinja_output_release(&out);
}

void check_fails(const char *source, const char *variables, const char *want)
{
    check_fails_within(source, variables, (struct jinja_limits){0}, want);
}
