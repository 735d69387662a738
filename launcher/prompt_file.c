#include "launcher/prompt_file.h"

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_LINE_BYTES = 16 << 20, /* a prompt of a few million tokens */
    MAX_VALUES = 4 << 20,      /* ids of a line, and what else is in it */
    MAX_DEPTH = 16,            /* keys that are ignored may have values of any form */
};

static bool is_blank(const struct bytes *line)
{
    return line->len == 0 || strspn(line->data, " \t\r") == line->len;
}

static bool read_ids(struct ids *out, const json_t *list, struct error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return error_set(err, ERROR_INPUT, "item %zu of the list is no token id", i);
        ids_add(out, (int32_t)json_integer_value(id));
    }
    return out->n > 0 || error_set(err, ERROR_INPUT, "an empty list");
}

static bool read_text_or_ids(struct file_prompt *out, const json_t *value, struct error *err)
{
    if (json_is_array(value))
        return read_ids(&out->ids, value, err);
    if (!json_is_string(value))
        return error_set(err, ERROR_INPUT, "a prompt is a text or a list of token ids");
    if (json_string_length(value) == 0)
        return error_set(err, ERROR_INPUT, "an empty prompt");
    bytes_add(&out->text, json_string_value(value), json_string_length(value));
    return true;
}

static bool read_object(struct file_prompt *out, const json_t *object, struct error *err)
{
    const json_t *ids = json_object_get(object, "prompt_token_ids");
    const json_t *prompt = json_object_get(object, "prompt");
    int64_t priority = 0;
    out->has_priority = json_object_get(object, "priority") != NULL;
    if (!json_get_int(object, "priority", false, INT32_MIN, INT32_MAX, &priority, err))
        return false;
    out->priority = (int)priority;
    if (json_is_array(ids))
        return read_ids(&out->ids, ids, err) || error_in(err, "prompt_token_ids");
    if (prompt == NULL)
        return error_set(err, ERROR_INPUT, "neither prompt nor prompt_token_ids");
    return read_text_or_ids(out, prompt, err) || error_in(err, "prompt");
}

static bool read_json(struct file_prompt *out, const struct bytes *line, struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = MAX_LINE_BYTES, .max_depth = MAX_DEPTH, .max_values = MAX_VALUES};
    json_t *value;
    if (!json_parse_line(&value, line->data, line->len, &limits, err))
        return false;
    const bool good =
        json_is_object(value) ? read_object(out, value, err) : read_text_or_ids(out, value, err);
    json_decref(value);
    return good;
}

static bool read_plain(struct file_prompt *out, const struct bytes *line, struct error *err)
{
    const size_t n = line->len - (line->data[line->len - 1] == '\r');
    if (memchr(line->data, '\0', n) != NULL)
        return error_set(err, ERROR_INPUT, "a NUL byte");
    if (utf8_valid_bytes(line->data, n) < n)
        return error_set(err, ERROR_INPUT, "no UTF-8 at byte %zu",
                         utf8_valid_bytes(line->data, n) + 1);
    bytes_add(&out->text, line->data, n);
    return true;
}

/* Editors of some systems put U+FEFF in front of a file: it says UTF-8 and is no text. */
static void drop_byte_order_mark(struct bytes *line)
{
    if (line->len >= 3 && memcmp(line->data, "\xef\xbb\xbf", 3) == 0)
        bytes_remove_front(line, 3);
}

/* The next line that is not blank. */
static bool read_line(struct prompt_file *file, bool *got, struct error *err)
{
    *got = false;
    while (!*got) {
        file->n_lines++;
        switch (line_input_read(&file->input, &file->line, err)) {
        case LINE_READ:
            if (file->n_lines == 1)
                drop_byte_order_mark(&file->line);
            *got = !is_blank(&file->line);
            break;
        case LINE_END:
            return true;
        case LINE_FAILED:
            return error_in(err, "%s:%zu", file->name, file->n_lines);
        case LINE_DROPPED:
        case LINE_STOPPED:
            return error_set(err, ERROR_LIMIT, "interrupted");
        }
    }
    return true;
}

bool prompt_file_next(struct prompt_file *file, struct file_prompt *out, bool *got,
                      struct error *err)
{
    bytes_clear(&out->text);
    ids_clear(&out->ids);
    out->has_priority = false;
    if (!read_line(file, got, err))
        return false;
    if (!*got) {
        file->total = file->n_prompts;
        return file->n_prompts > 0 || error_set(err, ERROR_INPUT, "%s: no prompts", file->name);
    }
    if (!file->begun && file->line.data[strspn(file->line.data, " \t")] == '{')
        file->is_json = true;
    file->begun = true;
    file->n_prompts++;
    const bool good =
        file->is_json ? read_json(out, &file->line, err) : read_plain(out, &file->line, err);
    return good || error_in(err, "%s:%zu", file->name, file->n_lines);
}

/* Reads it to its end, and goes back. */
static bool check_all(struct prompt_file *file, off_t begin, struct error *err)
{
    struct file_prompt prompt = {0};
    bool got = true, good = true;
    while (good && got)
        good = prompt_file_next(file, &prompt, &got, err);
    file_prompt_release(&prompt);
    if (!good)
        return false;
    if (lseek(file->input.fd, begin, SEEK_SET) != begin)
        return error_errno(err, "%s", file->name);
    bytes_clear(&file->input.rest);
    file->input.begin = 0;
    file->input.at_end = false;
    file->n_lines = file->n_prompts = 0;
    return true;
}

bool prompt_file_open(struct prompt_file *out, const char *path,
                      const volatile sig_atomic_t *interrupt, struct error *err)
{
    const bool is_input = strcmp(path, "-") == 0;
    const size_t n = strlen(path);
    struct stat status;
    *out = (struct prompt_file){.name = is_input ? "standard input" : path,
                                .input = {.fd = STDIN_FILENO, .interrupt = interrupt},
                                .line = {.max = MAX_LINE_BYTES},
                                .is_json = n > 6 && strcmp(path + n - 6, ".jsonl") == 0};
    if (!is_input)
        out->input.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (out->input.fd < 0 || fstat(out->input.fd, &status) != 0)
        return error_set(err, ERROR_INPUT, "%s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return error_set(err, ERROR_INPUT, "%s: a folder", path);
    const off_t begin = lseek(out->input.fd, 0, SEEK_CUR);
    return !S_ISREG(status.st_mode) || begin < 0 || check_all(out, begin, err);
}

bool prompt_file_is_ready(const struct prompt_file *file)
{
    const struct line_input *input = &file->input;
    struct pollfd look = {.fd = input->fd, .events = POLLIN};
    const size_t n = input->rest.len - input->begin;
    return (n > 0 && memchr(input->rest.data + input->begin, '\n', n) != NULL) || input->at_end ||
           poll(&look, 1, 0) > 0;
}

void prompt_file_close(struct prompt_file *file)
{
    if (file->name != NULL && file->input.fd > STDIN_FILENO)
        close(file->input.fd);
    bytes_release(&file->input.rest);
    bytes_release(&file->line);
    *file = (struct prompt_file){0};
}

void file_prompt_release(struct file_prompt *prompt)
{
    bytes_release(&prompt->text);
    ids_release(&prompt->ids);
}
