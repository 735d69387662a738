/* --config FILE: a YAML mapping of option names to values, one document. Keys are the long names
 * without the dashes (tensor-parallel-size or tensor_parallel_size), or the other key of the
 * table. A list sets an option that may be repeated once for each item.
 *
 * The file is read event by event and refused at the first one that has no place in this form:
 * building the tree first would cost libyaml a time that is quadratic in the depth. */
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/options/table.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { MAX_FILE_BYTES = 1 << 20 }; /* a file of options is a page; more is a mistake */

struct reader {
    struct options *out;
    const char *path;
    yaml_parser_t parser;
    yaml_event_t event;          /* the last one read */
    bool from_file[OPTIONS_MAX]; /* i: the file has set option i of the table */
    bool model_was_here;         /* a key for MODEL was read */
};

static bool refuse(const struct reader *r, const char *what, struct error *err)
{
    return error_set(err, ERROR_INPUT, "%s:%zu: %s", r->path, r->event.start_mark.line + 1, what);
}

static bool next_event(struct reader *r, struct error *err)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event))
        return true;
    return error_set(err, ERROR_INPUT, "%s:%zu: no YAML: %s", r->path,
                     r->parser.problem_mark.line + 1,
                     r->parser.problem ? r->parser.problem : "unreadable");
}

static bool next_is(struct reader *r, yaml_event_type_t type, const char *otherwise,
                    struct error *err)
{
    return next_event(r, err) && (r->event.type == type || refuse(r, otherwise, err));
}

/* The text of the last event; `otherwise` says what is wanted when it is no text. */
static bool read_text(const struct reader *r, const char **text, const char *otherwise,
                      struct error *err)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return refuse(r, otherwise, err);
    *text = (const char *)r->event.data.scalar.value;
    return strlen(*text) == r->event.data.scalar.length || refuse(r, "a NUL character", err);
}

/* Of the last event, a text. */
static bool is_null(const struct reader *r)
{
    return r->event.data.scalar.plain_implicit &&
           option_is_null((const char *)r->event.data.scalar.value);
}

static bool read_value(const struct reader *r, const struct option *option, bool wanted,
                       struct error *err)
{
    const char *text;
    char otherwise[80], where[300];
    snprintf(otherwise, sizeof otherwise, "%s: want one value", option->name + 2);
    if (!read_text(r, &text, otherwise, err))
        return false;
    snprintf(where, sizeof where, "%s:%zu: %s", r->path, r->event.start_mark.line + 1,
             option->name + 2);
    if (!wanted || is_null(r))
        return true;
    option_mark_given(r->out, option);
    return option_set(r->out, option, where, text, err);
}

static bool read_option(struct reader *r, const struct option *option, struct error *err)
{
    bool *was_here = &r->from_file[option_number(option)];
    if (*was_here)
        return refuse(r, "this option is in the file twice", err);
    const bool wanted = !option_is_settled(r->out, option); /* else the command line wins */
    *was_here = true;
    if (!next_event(r, err))
        return false;
    if (option->kind != OPTION_LIST || r->event.type != YAML_SEQUENCE_START_EVENT)
        return read_value(r, option, wanted, err);
    while (next_event(r, err) && r->event.type != YAML_SEQUENCE_END_EVENT)
        if (!read_value(r, option, wanted, err))
            return false;
    return err->kind == ERROR_NONE;
}

static bool read_model(struct reader *r, struct error *err)
{
    const char *path;
    if (r->model_was_here)
        return refuse(r, "the model is in the file twice", err);
    r->model_was_here = true;
    if (!next_event(r, err) || !read_text(r, &path, "the model wants a path", err))
        return false;
    if (r->out->model == NULL && !is_null(r))
        r->out->model = arena_copy_text(&r->out->arena, path, strlen(path));
    return true;
}

/* The key is the last event. */
static bool read_pair(struct reader *r, struct error *err)
{
    const char *key;
    if (!read_text(r, &key, "a key must be a name", err))
        return false;
    if (option_is_model_key(key))
        return read_model(r, err);
    const struct option *option = option_find_key(key, r->out->command);
    if (option == NULL) {
        char where[300];
        snprintf(where, sizeof where, "%s:%zu", r->path, r->event.start_mark.line + 1);
        return option_unknown_key(where, key, r->out->command, err);
    }
    return read_option(r, option, err);
}

static bool read_stream(struct reader *r, struct error *err)
{
    if (!next_event(r, err) || !next_event(r, err)) /* of the stream, of the document */
        return false;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return true; /* an empty file sets nothing */
    if (!next_is(r, YAML_MAPPING_START_EVENT, "want `key: value` lines", err))
        return false;
    while (next_event(r, err) && r->event.type != YAML_MAPPING_END_EVENT)
        if (!read_pair(r, err))
            return false;
    return err->kind == ERROR_NONE && next_event(r, err) &&
           next_is(r, YAML_STREAM_END_EVENT, "a second document", err);
}

bool options_read_file(struct options *out, const char *path, struct error *err)
{
    char *text;
    size_t n_bytes;
    if (!file_read(&text, &n_bytes, path, MAX_FILE_BYTES, err))
        return false;
    struct reader reader = {.out = out, .path = path};
    bool good = yaml_parser_initialize(&reader.parser) != 0 ||
                error_set(err, ERROR_SYSTEM, "%s: no memory for the YAML parser", path);
    if (good) {
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, n_bytes);
        good = read_stream(&reader, err);
        yaml_event_delete(&reader.event);
        yaml_parser_delete(&reader.parser);
    }
    memory_free(text);
    return good;
}
