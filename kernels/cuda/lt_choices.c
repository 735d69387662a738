#include "kernels/cuda/lt_choices.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char title[] = "phalanx: algorithms of cublaslt, 1";

struct choice {
    struct lt_shape shape;
    struct lt_algorithm algorithm;
};

struct lt_choices {
    char *path;        /* or NULL */
    struct bytes head; /* the first lines of the file */
    struct choice *choice;
    int n, capacity;
    bool is_new;
};

int lt_bucket(int n_tokens)
{
    int step = 8;
    while (n_tokens > 8 * step)
        step *= 2;
    return (n_tokens + step - 1) / step * step;
}

/* ---- the table ---- */

static struct choice *find(const struct lt_choices *choices, const struct lt_shape *shape)
{
    for (int i = 0; i < choices->n; i++) {
        const struct lt_shape *has = &choices->choice[i].shape;
        if (has->dtype == shape->dtype && has->n_out == shape->n_out && has->k == shape->k &&
            has->n_tokens == shape->n_tokens && has->out_alignment == shape->out_alignment)
            return &choices->choice[i];
    }
    return NULL;
}

const struct lt_algorithm *lt_choices_find(const struct lt_choices *choices,
                                           const struct lt_shape *shape)
{
    const struct choice *choice = find(choices, shape);
    return choice != NULL ? &choice->algorithm : NULL;
}

static void put(struct lt_choices *choices, const struct choice *choice)
{
    struct choice *at = find(choices, &choice->shape);
    if (at == NULL && choices->n == LT_MAX_CHOICES)
        return;
    if (at == NULL && choices->n == choices->capacity) {
        choices->capacity = choices->capacity > 0 ? 2 * choices->capacity : 64;
        choices->choice =
            memory_resize(choices->choice, (size_t)choices->capacity, sizeof *choices->choice);
    }
    if (at == NULL)
        at = &choices->choice[choices->n++];
    *at = *choice;
}

void lt_choices_set(struct lt_choices *choices, const struct lt_shape *shape,
                    const struct lt_algorithm *algorithm)
{
    put(choices, &(struct choice){*shape, *algorithm});
    choices->is_new = true;
}

/* ---- a line of the file: shape, algorithm, check sum ---- */

static uint64_t check_sum(const char *text, size_t n)
{
    uint64_t sum = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ (unsigned char)text[i]) * 0x100000001b3u;
    return sum;
}

static void write_line(struct bytes *out, const struct choice *choice)
{
    const struct lt_shape *shape = &choice->shape;
    const size_t begin = out->len;
    bytes_printf(out, "%s %d %d %d %d", dtype_name(shape->dtype), shape->n_out, shape->k,
                 shape->n_tokens, shape->out_alignment);
    for (int i = 0; i < 8; i++)
        bytes_printf(out, " %016" PRIx64, choice->algorithm.word[i]);
    bytes_printf(out, " %016" PRIx64 "\n", check_sum(out->data + begin, out->len - begin));
}

static bool read_line(struct choice *choice, const char *line, size_t n)
{
    enum { SUM_CHARS = 17 }; /* with the space before it */
    char text[320], dtype[8] = "";
    if (n >= sizeof text || n < SUM_CHARS)
        return false;
    memcpy(text, line, n);
    text[n] = '\0';
    struct lt_shape *shape = &choice->shape;
    uint64_t *word = choice->algorithm.word, sum = 0;
    const int n_read =
        sscanf(text,
               "%7s %d %d %d %d %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
               " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64,
               dtype, &shape->n_out, &shape->k, &shape->n_tokens, &shape->out_alignment, &word[0],
               &word[1], &word[2], &word[3], &word[4], &word[5], &word[6], &word[7], &sum);
    shape->dtype = strcmp(dtype, dtype_name(DTYPE_F16)) == 0 ? DTYPE_F16 : DTYPE_BF16;
    return n_read == 14 && sum == check_sum(text, n - SUM_CHARS);
}

/* ---- the file ---- */

static void read_lines(struct lt_choices *choices, const char *text, size_t n_bytes)
{
    const char *end = text + n_bytes;
    int n_damaged = 0;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((line_end != NULL ? line_end : end) - text);
        struct choice choice;
        if (read_line(&choice, text, n))
            put(choices, &choice);
        else
            n_damaged++;
        text += n + (line_end != NULL);
    }
    if (n_damaged > 0)
        log_write(LOG_WARN, "matmul", "%s: %d damaged lines are left out", choices->path,
                  n_damaged);
    choices->is_new = n_damaged > 0;
}

static void read_file(struct lt_choices *choices)
{
    struct error err = {0};
    char *text;
    size_t n_bytes;
    if (!file_exists(choices->path))
        return;
    if (!file_read(&text, &n_bytes, choices->path, LT_MAX_FILE_BYTES, &err)) {
        log_write(LOG_WARN, "matmul", "choices of algorithms are not used: %s", err.text);
        return;
    }
    const size_t n_head = choices->head.len;
    if (n_bytes >= n_head && memcmp(text, choices->head.data, n_head) == 0)
        read_lines(choices, text + n_head, n_bytes - n_head);
    else
        log_write(LOG_DEBUG, "matmul", "%s is of another GPU or library, and not used",
                  choices->path);
    memory_free(text);
}

static bool write_whole(const char *path, const struct bytes *text, struct error *err)
{
    FILE *file = fopen(path, "wxe");
    if (file == NULL)
        return error_errno(err, "%s", path);
    const bool is_written = fwrite(text->data, 1, text->len, file) == text->len;
    if (fclose(file) == 0 && is_written)
        return true;
    error_errno(err, "%s", path);
    remove(path);
    return false;
}

/* Ranks of one machine may write at once: each its own file, which then takes the place. */
static bool write_file(const struct lt_choices *choices, struct error *err)
{
    struct bytes text = {0}, path = {0};
    uint64_t own;
    if (!system_random(&own, sizeof own, err))
        return false;
    bytes_printf(&path, "%s.%016" PRIx64, choices->path, own);
    bytes_add(&text, choices->head.data, choices->head.len);
    for (int i = 0; i < choices->n; i++)
        write_line(&text, &choices->choice[i]);
    bool is_written = write_whole(path.data, &text, err);
    if (is_written && rename(path.data, choices->path) != 0) {
        is_written = error_errno(err, "%s", choices->path);
        remove(path.data);
    }
    bytes_release(&path);
    bytes_release(&text);
    return is_written;
}

struct lt_choices *lt_choices_open(const char *path, const char *gpu, size_t version)
{
    struct lt_choices *choices = memory_alloc(1, sizeof *choices);
    bytes_printf(&choices->head, "%s\n%s\n%zu\n", title, gpu, version);
    if (path != NULL) {
        choices->path = memory_copy_text(path);
        read_file(choices);
    }
    return choices;
}

void lt_choices_close(struct lt_choices *choices)
{
    struct error err = {0};
    if (choices == NULL)
        return;
    if (choices->path != NULL && choices->is_new && !write_file(choices, &err))
        log_write(LOG_WARN, "matmul", "choices of algorithms are not kept: %s", err.text);
    bytes_release(&choices->head);
    memory_free(choices->choice);
    memory_free(choices->path);
    memory_free(choices);
}
