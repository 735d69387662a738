/* The templates of real checkpoints, against what transformers gave for the same conversations. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/system.h"
#include "runtime/jinja/jinja.h"
#include "tests/test.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define DATA SOURCE_DIR "/../shared/data/chat-templates/"

enum {
    LINE_BYTES = 1 << 20,
    COMPARED_BYTES = 200, /* of an error: ours cuts long ones */
    MAX_SHOWN = 10,
};

static json_t *read_object(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", DATA, name);
    json_t *object = json_load_file(path, JSON_ALLOW_NUL, NULL);
    if (object == NULL)
        SKIP("../shared/data/chat-templates is not here");
    return object;
}

/* The text, or the error without its place: "UndefinedError: 'x' is undefined: the line". */
static bool render(const json_t *source, const json_t *variables, struct bytes *out)
{
    static const struct calendar_time now = {2024, 7, 26, 12, 34, 56};
    const struct jinja_input input = {.users = variables, .now = &now};
    struct jinja_template *t = NULL;
    struct jinja_output output = {0};
    struct error err = {0};
    const bool good =
        jinja_compile(&t, json_string_value(source), json_string_length(source), &err) &&
        jinja_render(t, &input, &output, &err);
    const char *message =
        strncmp(err.text, "line ", 5) == 0 ? strstr(err.text, ": ") + 2 : err.text;
    bytes_clear(out);
    if (good)
        bytes_add(out, output.text.len > 0 ? output.text.data : "", output.text.len);
    else
        bytes_add_text(out, message);
    jinja_output_release(&output);
    jinja_destroy(t);
    return good;
}

static bool is_text(const struct bytes *got, const json_t *want)
{
    return got->len == json_string_length(want) &&
           (got->len == 0 || memcmp(got->data, json_string_value(want), got->len) == 0);
}

static bool is_error(const struct bytes *got, const char *kind, const char *message)
{
    char want[COMPARED_BYTES + 1];
    snprintf(want, sizeof want, "%s%s%s", kind, *kind ? ": " : "", message);
    return got->data != NULL && strncmp(got->data, want, strlen(want)) == 0;
}

/* Whether one line of the file is as it should be; -1: it is refused, as jinja.h says. */
typedef int check_line_fn(const json_t *line, const void *context, struct bytes *got);

static void check_file(const char *name, check_line_fn *check_line, const void *context)
{
    static char line[LINE_BYTES];
    char path[512];
    int exact = 0, total = 0, refused = 0;
    snprintf(path, sizeof path, "%s%s", DATA, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        SKIP("../shared/data/chat-templates is not here");
    struct bytes got = {0};
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *object = json_loads(line, JSON_ALLOW_NUL, NULL);
        CHECK(object != NULL);
        const int same = check_line(object, context, &got);
        total++;
        exact += same > 0;
        refused += same < 0;
        if (same == 0 && total - exact - refused <= MAX_SHOWN)
            printf("  differs: %.300s\n  got: %.300s\n", line, got.data ? got.data : "");
        json_decref(object);
    }
    fclose(file);
    bytes_release(&got);
    printf("  %s: %d/%d exact, %d refused as said\n", name, exact, total, refused);
    CHECK(total > 0);
    CHECK_EQ(exact + refused, total);
}

struct recorded {
    json_t *templates, *contexts;
};

static int check_render(const json_t *line, const void *context, struct bytes *got)
{
    const struct recorded *all = context;
    const char *name = json_string_value(json_object_get(line, "template"));
    const char *variables = json_string_value(json_object_get(line, "context"));
    const json_t *error = json_object_get(line, "error");
    const bool good = render(json_object_get(all->templates, name),
                             json_object_get(all->contexts, variables), got);
    if (error == NULL)
        return good && is_text(got, json_object_get(line, "expected"));
    return !good && is_error(got, json_string_value(error),
                             json_string_value(json_object_get(line, "message")));
}

TEST(templates_of_checkpoints_give_what_transformers_gives)
{
    const struct recorded all = {read_object("templates.json"), read_object("contexts.json")};
    check_file("renders.jsonl", check_render, &all);
    json_decref(all.templates);
    json_decref(all.contexts);
}

/* Two of them change a list, which later releases of the reference refuse, and which had changed
 * the recorded variables. */
static int check_unit_test(const json_t *line, const void *context, struct bytes *got)
{
    (void)context;
    const json_t *source = json_object_get(line, "template");
    const char *error = json_string_value(json_object_get(line, "jinja2_error"));
    const bool good = render(source, json_object_get(line, "vars"), got);
    if (strstr(json_string_value(source), ".pop(") != NULL)
        return good || strstr(got->data, "SecurityError: access to attribute 'pop'") == NULL ? 0
                                                                                             : -1;
    if (error == NULL)
        return good && is_text(got, json_object_get(line, "jinja2_3_1_2"));
    return !good && is_error(got, "", error);
}

TEST(unit_tests_of_other_engines_give_what_jinja2_gives)
{
    check_file("jinja_unit_tests.jsonl", check_unit_test, NULL);
}
