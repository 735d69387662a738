#include "runtime/text/chat_template_files.h"

#include "base/error.h"
#include "base/json.h"
#include "base/system.h"
#include "base/utf8.h"
#include "runtime/jinja/jinja.h"
#include "runtime/text/file/json_cursor.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CONFIG_BYTES = 16 << 20, /* the largest in use lists 6,000 tokens in 1.2 MB */
    MAX_PATH_BYTES = 4096,
    MAX_KEY_BYTES = 64,
};

/* One value of such a file; added_tokens_decoder may have ten thousand objects of seven. */
static const struct json_limits value_limits = {
    .max_bytes = MAX_CONFIG_BYTES, .max_depth = 8, .max_values = 1 << 20};

/* ---- files ------------------------------------------------------------------------------------*/

static bool path_of(char *out, const char *folder, const char *name, struct error *err)
{
    return snprintf(out, MAX_PATH_BYTES, "%s/%s", folder, name) < MAX_PATH_BYTES ||
           error_set(err, ERROR_INPUT, "the path of the model is too long");
}

static bool add_template(struct template_files *out, const char *name, const char *where,
                         const char *text, size_t n_bytes, struct error *err)
{
    if (out->n == TEMPLATE_FILES_MAX)
        return error_set(err, ERROR_INPUT, "%s: more than %d chat templates", where,
                         TEMPLATE_FILES_MAX);
    if (n_bytes > JINJA_MAX_SOURCE_BYTES)
        return error_set(err, ERROR_INPUT, "%s: a chat template of %zu bytes, at most %d are read",
                         where, n_bytes, JINJA_MAX_SOURCE_BYTES);
    const size_t n_valid = utf8_valid_bytes(text, n_bytes);
    if (n_valid < n_bytes)
        return error_set(err, ERROR_INPUT, "%s: the chat template is not UTF-8 at byte %zu", where,
                         n_valid);
    struct arena *arena = &out->arena;
    out->item[out->n++] = (struct template_source){
        .name = arena_copy_text(arena, name, strlen(name)),
        .where = arena_copy_text(arena, where, strlen(where)),
        .text = arena_copy_text(arena, text, n_bytes),
        .n_bytes = n_bytes,
    };
    return true;
}

static bool add_file(struct template_files *out, const char *name, const char *path,
                     struct error *err)
{
    char *text;
    size_t n_bytes;
    if (!file_read(&text, &n_bytes, path, JINJA_MAX_SOURCE_BYTES, err))
        return false;
    const bool good = add_template(out, name, path, text, n_bytes, err);
    memory_free(text);
    return good;
}

static int is_jinja(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && dot != entry->d_name && strcmp(dot, ".jinja") == 0;
}

/* additional_chat_templates/NAME.jinja, sorted by name. */
static bool add_additional(struct template_files *out, const char *model_folder, struct error *err)
{
    char folder[MAX_PATH_BYTES], path[MAX_PATH_BYTES];
    struct dirent **entry;
    if (!path_of(folder, model_folder, "additional_chat_templates", err))
        return false;
    const int n = scandir(folder, &entry, is_jinja, alphasort);
    bool good = true;
    for (int i = 0; i < n; i++) {
        char *name = entry[i]->d_name;
        good = good && path_of(path, folder, name, err);
        *strrchr(name, '.') = '\0';
        good = good && add_file(out, name, path, err);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
    return good;
}

/* ---- JSON files -------------------------------------------------------------------------------*/

typedef bool take_value_fn(struct template_files *out, const char *path, const char *key,
                           const json_t *value, struct error *err);

static bool is_wanted(const char *const *keys, const char *key)
{
    for (; *keys != NULL; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

/* One key and its value; `room` has the bytes of the whole file. */
static bool read_pair(struct template_files *out, const char *path, struct json_cursor *c,
                      char *room, const char *const *keys, take_value_fn *take, struct error *err)
{
    size_t n_key, n_commas;
    if (!json_cursor_string(c, room, &n_key, err) || !json_cursor_expect(c, ':', err))
        return false;
    char key[MAX_KEY_BYTES] = "";
    if (n_key < sizeof key)
        memcpy(key, room, n_key);
    json_cursor_peek(c); /* moves to the value */
    const size_t begin = c->at;
    if (!json_cursor_skip(c, &n_commas, err))
        return false;
    if (!is_wanted(keys, key))
        return true;
    json_t *value;
    if (!json_parse(&value, c->text + begin, c->at - begin, &value_limits, err))
        return error_in(err, "%s", key);
    const bool good = take(out, path, key, value, err);
    json_decref(value);
    return good;
}

/* Gives take() each of `keys` that the object of the file has. */
static bool read_keys(struct template_files *out, const char *path, const char *const *keys,
                      take_value_fn *take, struct error *err)
{
    char *text;
    size_t n_bytes;
    if (!file_read(&text, &n_bytes, path, MAX_CONFIG_BYTES, err))
        return false;
    struct json_cursor c = {.text = text, .n_bytes = n_bytes};
    char *room = memory_alloc(n_bytes + 1, 1);
    bool good = json_cursor_expect(&c, '{', err);
    if (good && !json_cursor_take(&c, '}')) {
        do
            good = read_pair(out, path, &c, room, keys, take, err);
        while (good && json_cursor_take(&c, ','));
        good = good && json_cursor_expect(&c, '}', err);
    }
    json_cursor_peek(&c); /* moves behind white space */
    if (good && c.at < n_bytes)
        good = json_cursor_fail(&c, err, "more behind the object");
    memory_free(room);
    memory_free(text);
    return good || error_in(err, "%s", path);
}

/* A template, or a list of {"name", "template"}. */
static bool take_templates(struct template_files *out, const char *path, const char *key,
                           const json_t *value, struct error *err)
{
    (void)key;
    if (json_is_null(value))
        return true;
    if (json_is_string(value))
        return add_template(out, "default", path, json_string_value(value),
                            json_string_length(value), err);
    if (!json_is_array(value))
        return error_set(err, ERROR_INPUT, "chat_template is neither a text nor a list");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const char *name;
        const json_t *text = json_object_get(item, "template");
        if (!json_is_object(item) || !json_is_string(text))
            return error_set(err, ERROR_INPUT, "chat_template: item %zu has no template", i);
        if (!json_get_text(item, "name", true, &name, err))
            return error_in(err, "chat_template: item %zu", i);
        if (!add_template(out, name, path, json_string_value(text), json_string_length(text), err))
            return false;
    }
    return true;
}

static const char *const template_keys[] = {"chat_template", NULL};

/* ---- special tokens ---------------------------------------------------------------------------*/

static const char *const config_keys[] = {"added_tokens_decoder",
                                          "bos_token",
                                          "eos_token",
                                          "unk_token",
                                          "sep_token",
                                          "pad_token",
                                          "cls_token",
                                          "mask_token",
                                          "additional_special_tokens",
                                          NULL};
static const char *const *const token_keys = config_keys + 1; /* without the decoder */

/* The text of a token: itself, or the "content" of an object. A new reference, or NULL. */
static json_t *token_text(const json_t *token)
{
    const json_t *text = json_is_object(token) ? json_object_get(token, "content") : token;
    return json_is_string(text) && json_string_length(text) > 0 ? json_incref((json_t *)text)
                                                                : NULL;
}

static json_t *token_texts(const json_t *list)
{
    json_t *texts = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *text = token_text(json_array_get(list, i));
        if (text != NULL)
            json_array_append_new(texts, text);
    }
    if (json_array_size(texts) > 0)
        return texts;
    json_decref(texts);
    return NULL;
}

static bool take_token(struct template_files *out, const char *path, const char *key,
                       const json_t *value, struct error *err)
{
    (void)path;
    (void)err;
    json_t *token = json_is_array(value) ? token_texts(value) : token_text(value);
    if (token != NULL)
        json_object_set_new(out->special_tokens, key, token);
    else
        json_object_del(out->special_tokens, key);
    return true;
}

static bool take_config(struct template_files *out, const char *path, const char *key,
                        const json_t *value, struct error *err)
{
    if (strcmp(key, "added_tokens_decoder") != 0)
        return take_token(out, path, key, value, err);
    json_object_set_new(out->special_tokens, key, json_true()); /* said that it is there */
    return true;
}

static bool read_tokens(struct template_files *out, const char *model_folder, struct error *err)
{
    char config[MAX_PATH_BYTES], map[MAX_PATH_BYTES];
    if (!path_of(config, model_folder, "tokenizer_config.json", err) ||
        !path_of(map, model_folder, "special_tokens_map.json", err))
        return false;
    if (file_exists(config) && !read_keys(out, config, config_keys, take_config, err))
        return false;
    const bool is_whole = json_object_del(out->special_tokens, "added_tokens_decoder") == 0;
    return is_whole || !file_exists(map) || read_keys(out, map, token_keys, take_token, err);
}

/* ---- all of it --------------------------------------------------------------------------------*/

static bool read_model(struct template_files *out, const char *model_folder, struct error *err)
{
    char path[MAX_PATH_BYTES];
    static const char *const json_files[] = {"tokenizer_config.json", "chat_template.json"};
    if (!path_of(path, model_folder, "chat_template.jinja", err) ||
        (file_exists(path) && !add_file(out, "default", path, err)) ||
        !add_additional(out, model_folder, err))
        return false;
    for (size_t i = 0; out->n == 0 && i < sizeof json_files / sizeof *json_files; i++)
        if (!path_of(path, model_folder, json_files[i], err) ||
            (file_exists(path) && !read_keys(out, path, template_keys, take_templates, err)))
            return false;
    return true;
}

bool template_files_read(struct template_files *out, const char *model_folder, const char *file,
                         struct error *err)
{
    *out = (struct template_files){.special_tokens = json_object()};
    if (model_folder != NULL && !read_tokens(out, model_folder, err))
        return false;
    return file != NULL ? add_file(out, "default", file, err) : read_model(out, model_folder, err);
}

void template_files_release(struct template_files *files)
{
    json_decref(files->special_tokens);
    arena_release(&files->arena);
    *files = (struct template_files){0};
}
