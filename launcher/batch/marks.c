#include "launcher/batch/marks.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "base/system.h"
#include "launcher/batch/lines.h"
#include "runtime/options/options.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

static const char BEGUN[] = "begun"; /* told, not compared */
static const struct json_limits limits = {.max_bytes = 1 << 20, .max_depth = 4, .max_values = 1000};

static void set_text(json_t *marks, const char *key, const char *text)
{
    json_object_set_new(marks, key, json_string(text));
}

static void set_hash(json_t *marks, const char *key, uint64_t high, uint64_t low)
{
    char text[33];
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)high,
             (unsigned long long)low);
    set_text(marks, key, text);
}

static bool add_file(json_t *marks, const char *key, const char *path, struct error *err)
{
    struct file_map map;
    json_object_set_new(marks, key, json_null());
    if (!file_exists(path))
        return true;
    if (!file_map_open(&map, path, err))
        return false;
    const XXH128_hash_t hash = XXH3_128bits(map.data, map.n_bytes);
    set_hash(marks, key, hash.high64, hash.low64);
    file_map_close(&map);
    return true;
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static bool hash_file(XXH3_state_t *state, const char *path, const char *name, struct error *err)
{
    struct file_map map;
    if (!file_map_open(&map, path, err))
        return false;
    XXH3_128bits_update(state, name, strlen(name) + 1);
    XXH3_128bits_update(state, map.data, map.n_bytes);
    file_map_close(&map);
    return true;
}

/* One mark for the names and the bytes of all files there. */
static bool add_folder(json_t *marks, const char *key, const char *folder, struct error *err)
{
    char path[4096];
    struct dirent **entry;
    XXH3_state_t state;
    bool good = true;
    snprintf(path, sizeof path, "%s/%s", folder, key);
    json_object_set_new(marks, key, json_null());
    const int n = scandir(path, &entry, is_visible, alphasort);
    XXH3_128bits_reset(&state);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s/%s", folder, key, entry[i]->d_name);
        good = good && hash_file(&state, path, entry[i]->d_name, err);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
    if (n > 0) {
        const XXH128_hash_t hash = XXH3_128bits_digest(&state);
        set_hash(marks, key, hash.high64, hash.low64);
    }
    return good;
}

static bool add_files(json_t *marks, const struct options *options, const char *folder,
                      struct error *err)
{
    static const char *const names[] = {"config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "generation_config.json",
                                        "1_Pooling/config.json"};
    char path[4096];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (!add_file(marks, names[i], path, err))
            return false;
    }
    if (!add_folder(marks, "additional_chat_templates", folder, err))
        return false;
    json_object_set_new(marks, "--chat-template", json_null());
    return options->chat_template == NULL ||
           add_file(marks, "--chat-template", options->chat_template, err);
}

/* Options that change what an answer is. */
static void add_options(json_t *marks, const struct options *options)
{
    static const char *const names[] = {"--device",
                                        "--numerics",
                                        "--dtype",
                                        "--kv-cache-dtype",
                                        "--max-model-len",
                                        "--seed",
                                        "--generation-config",
                                        "--temperature",
                                        "--max-tokens",
                                        "--top-k",
                                        "--top-p",
                                        "--min-p",
                                        "--repetition-penalty",
                                        "--chat-template-content-format",
                                        "--default-chat-template-kwargs",
                                        "--enable-thinking",
                                        "--logprobs-mode",
                                        "--task",
                                        "--pooling",
                                        "--max-logprobs",
                                        "--served-model-name"};
    struct bytes text = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bytes_clear(&text);
        json_object_set_new(marks, names[i], json_null());
        if (options_is_given(options, names[i]) && options_print_value(&text, options, names[i]))
            set_text(marks, names[i], text.data);
    }
    /* without a name of its own the model is called as it was given, in answers too */
    const bool is_named = options_is_given(options, "--served-model-name");
    json_object_set_new(marks, "MODEL", is_named ? json_null() : json_string(options->model));
    bytes_release(&text);
}

bool batch_marks_make(json_t **out, const struct options *options, const char *folder,
                      const struct batch_lines *lines, const char *version, struct error *err)
{
    json_t *marks = json_object();
    *out = marks;
    set_text(marks, "phalanx", version);
    json_object_set_new(marks, "input_bytes", json_integer((json_int_t)lines->n_bytes));
    set_hash(marks, "input", lines->hash[0], lines->hash[1]);
    add_options(marks, options);
    return add_files(marks, options, folder, err);
}

void batch_marks_add_ranks(json_t *marks, uint64_t model_mark, const char *dtype, const char *gpu,
                           int max_model_len)
{
    set_hash(marks, "weights", 0, model_mark);
    set_text(marks, "type", dtype);
    set_text(marks, "gpu", *gpu != '\0' ? gpu : "none");
    json_object_set_new(marks, "context", json_integer(max_model_len));
}

void batch_marks_set_begin(json_t *marks, int64_t begun_s)
{
    json_object_set_new(marks, BEGUN, json_integer(begun_s));
}

int64_t batch_marks_begin(const json_t *marks)
{
    return json_integer_value(json_object_get(marks, BEGUN));
}

/* ---- the same? ---- */

/* The value as a user would read it, in a buffer of n bytes. */
static const char *in_words(const json_t *value, char *buffer, size_t n)
{
    if (value == NULL || json_is_null(value))
        return "not given";
    if (json_is_string(value))
        snprintf(buffer, n, "\"%.80s\"", json_string_value(value));
    else
        snprintf(buffer, n, "%lld", (long long)json_integer_value(value));
    return buffer;
}

static bool tell(const char *key, const json_t *then, const json_t *now, const char *journal,
                 struct error *err)
{
    char was[96], is[96];
    if (strncmp(key, "input", 5) == 0)
        return error_set(err, ERROR_INPUT,
                         "%s: the input has changed since the batch was begun: give the one of "
                         "then, or begin anew with --restart",
                         journal);
    return error_set(
        err, ERROR_INPUT,
        "%s: the batch was begun with %s %s, and now it is %s: run it as it was begun, "
        "or anew with --restart",
        journal, key, in_words(then, was, sizeof was), in_words(now, is, sizeof is));
}

bool batch_marks_are_same(const json_t *then, const json_t *now, const char *journal,
                          struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)now, key, value)
    {
        const json_t *before = json_object_get(then, key);
        if (strcmp(key, BEGUN) != 0 && !json_equal(before, value))
            return tell(key, before, value, journal, err);
    }
    return true;
}

void batch_marks_write(struct bytes *out, const json_t *marks)
{
    char *text = json_dumps(marks, JSON_COMPACT | JSON_SORT_KEYS);
    bytes_add_text(out, text);
    free(text); /* jansson's */
}

bool batch_marks_read(json_t **out, const struct bytes *text, const char *journal,
                      struct error *err)
{
    if (!json_parse(out, text->data, text->len, &limits, err))
        return error_in(err, "%s", journal);
    return true;
}
