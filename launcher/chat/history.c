#include "launcher/chat/history.h"

#include "base/error.h"
#include "base/json.h"
#include "runtime/text/chat_messages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A conversation of a context of a million tokens has some megabytes. */
static const struct json_limits file_limits = {
    .max_bytes = 64 << 20, .max_depth = 64, .max_values = 1 << 20};

void chat_history_init(struct chat_history *out)
{
    *out = (struct chat_history){.messages = json_array()};
}

void chat_history_release(struct chat_history *h)
{
    json_decref(h->messages);
    json_decref(h->system);
    *h = (struct chat_history){0};
}

void chat_history_set_system(struct chat_history *h, const char *text)
{
    json_decref(h->system);
    h->system = *text != '\0' ? json_string(text) : NULL;
}

static json_t *make_message(const char *role, json_t *take_content)
{
    json_t *message = json_object();
    json_object_set_new(message, "role", json_string(role));
    json_object_set_new(message, "content", take_content);
    return message;
}

void chat_history_add(struct chat_history *h, const char *role, const char *text, size_t n_bytes)
{
    json_array_append_new(h->messages, make_message(role, json_stringn(text, n_bytes)));
}

void chat_history_remove_last(struct chat_history *h)
{
    const size_t n = json_array_size(h->messages);
    if (n > 0)
        json_array_remove(h->messages, n - 1);
}

void chat_history_clear(struct chat_history *h) { json_array_clear(h->messages); }

static bool is_role(const json_t *message, const char *role)
{
    const char *text = json_string_value(json_object_get(message, "role"));
    return text != NULL && strcmp(text, role) == 0;
}

/* Where a turn ends: before the next message of the user. */
static size_t end_of_turn(const struct chat_history *h, size_t begin)
{
    size_t end = begin + 1;
    while (end < json_array_size(h->messages) && !is_role(json_array_get(h->messages, end), "user"))
        end++;
    return end;
}

/* How many messages the first turns have. */
static size_t end_of_turns(const struct chat_history *h, size_t n_turns)
{
    size_t end = 0;
    for (size_t i = 0; i < n_turns && end < json_array_size(h->messages); i++)
        end = end_of_turn(h, end);
    return end;
}

size_t chat_history_turns(const struct chat_history *h)
{
    size_t n = 0;
    for (size_t end = 0; end < json_array_size(h->messages); n++)
        end = end_of_turn(h, end);
    return n;
}

static json_t *messages_from(const struct chat_history *h, size_t begin)
{
    json_t *rest = json_array();
    for (size_t i = begin; i < json_array_size(h->messages); i++)
        json_array_append(rest, json_array_get(h->messages, i));
    return rest;
}

size_t chat_history_forget(struct chat_history *h, size_t n_turns)
{
    const size_t n = end_of_turns(h, n_turns);
    json_t *rest = messages_from(h, n);
    json_decref(h->messages);
    h->messages = rest;
    return n;
}

json_t *chat_history_messages(const struct chat_history *h, size_t n_forgotten)
{
    json_t *all = messages_from(h, end_of_turns(h, n_forgotten));
    if (h->system != NULL)
        json_array_insert_new(all, 0, make_message("system", json_incref(h->system)));
    return all;
}

bool chat_history_save(const struct chat_history *h, const char *path, struct error *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL)
        return error_errno(err, "%s", path);
    json_t *all = chat_history_messages(h, 0);
    const bool written = json_dumpf(all, file, JSON_INDENT(2)) == 0 && fputc('\n', file) != EOF;
    json_decref(all);
    const bool closed = fclose(file) == 0;
    return (written && closed) || error_errno(err, "%s could not be written", path);
}

bool chat_history_load(struct chat_history *h, const char *path, size_t *n, struct error *err)
{
    json_t *list, *read;
    if (!json_read_file(&list, path, &file_limits, err))
        return false;
    const bool good = chat_messages_read(&read, list, CONTENT_AS_EITHER, err);
    if (!good) {
        json_decref(list);
        return error_in(err, "%s", path);
    }
    json_decref(read); /* it can be read; what is kept is the file's own form */
    *n = json_array_size(list);
    const json_t *first = json_array_get(list, 0);
    const json_t *content = json_object_get(first, "content");
    const bool has_system = is_role(first, "system") && json_is_string(content);
    json_decref(h->system);
    h->system = has_system ? json_incref((json_t *)content) : NULL;
    if (has_system)
        json_array_remove(list, 0);
    json_decref(h->messages);
    h->messages = list;
    return true;
}
