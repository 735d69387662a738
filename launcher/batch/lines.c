#include "launcher/batch/lines.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { PART_BYTES = 256 << 10, INTERRUPT_POLL_MS = 200 };
static const char MARK[] =
    "\xef\xbb\xbf"; /* of the order of bytes: it says UTF-8, and is no text */
enum { MARK_BYTES = sizeof MARK - 1 };

static bool is_interrupted(const struct batch_lines *lines, struct error *err)
{
    if (!*lines->interrupt)
        return false;
    error_set(err, ERROR_LIMIT, "interrupted");
    return true;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* The part of a text that may be more than white space. */
static bool has_text(const char *text, size_t n)
{
    size_t at = 0;
    while (at < n && is_blank(text[at]))
        at++;
    return at < n;
}

/* ---- the first reading ---- */

/* Counts lines with something in them in a text that comes in parts. */
static void count_requests(struct batch_lines *lines, const char *text, size_t n, bool *in_request)
{
    while (n > 0) {
        const char *newline = memchr(text, '\n', n);
        const size_t n_part = newline != NULL ? (size_t)(newline - text) : n;
        if (!*in_request && has_text(text, n_part)) {
            lines->n_requests++;
            *in_request = true;
        }
        if (newline == NULL)
            return;
        *in_request = false;
        text += n_part + 1;
        n -= n_part + 1;
    }
}

static bool look_through(struct batch_lines *lines, XXH3_state_t *state, struct error *err)
{
    bool in_request = false;
    for (;;) {
        if (is_interrupted(lines, err))
            return false;
        const char *text = lines->buffer.data;
        const ssize_t n = read(lines->fd, lines->buffer.data, PART_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "%s", lines->name);
        if (n == 0)
            return true;
        XXH3_128bits_update(state, text, (size_t)n);
        const bool marked =
            lines->n_bytes == 0 && n >= MARK_BYTES && memcmp(text, MARK, MARK_BYTES) == 0;
        const size_t skip = marked ? MARK_BYTES : 0;
        count_requests(lines, text + skip, (size_t)n - skip, &in_request);
        lines->n_bytes += (uint64_t)n;
    }
}

static bool know_file(struct batch_lines *lines, struct error *err)
{
    XXH3_state_t *state = XXH3_createState();
    XXH3_128bits_reset(state);
    const bool good = look_through(lines, state, err);
    const XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    lines->hash[0] = hash.high64;
    lines->hash[1] = hash.low64;
    if (!good)
        return false;
    if (lines->n_requests == 0)
        return error_set(err, ERROR_INPUT, "%s: no requests", lines->name);
    if (lines->n_requests > BATCH_MAX_REQUESTS)
        return error_set(err, ERROR_INPUT,
                         "%s: %llu requests, and a batch has at most %d: split the file",
                         lines->name, (unsigned long long)lines->n_requests, BATCH_MAX_REQUESTS);
    return lseek(lines->fd, 0, SEEK_SET) == 0 || error_errno(err, "%s", lines->name);
}

bool batch_lines_open(struct batch_lines *out, const char *path,
                      const volatile sig_atomic_t *interrupt, struct error *err)
{
    const bool is_standard = strcmp(path, "-") == 0;
    *out = (struct batch_lines){.name = is_standard ? "standard input" : path,
                                .fd = is_standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC),
                                .interrupt = interrupt};
    if (out->fd < 0)
        return error_set(err, ERROR_INPUT, "%s: %s", path, strerror(errno));
    if (fstat(out->fd, &out->as_found) != 0)
        return error_errno(err, "%s", out->name);
    if (S_ISDIR(out->as_found.st_mode))
        return error_set(err, ERROR_INPUT, "%s: a folder", out->name);
    bytes_reserve(&out->buffer, PART_BYTES);
    out->is_regular = !is_standard && S_ISREG(out->as_found.st_mode);
    return !out->is_regular || know_file(out, err);
}

void batch_lines_close(struct batch_lines *lines)
{
    if (lines->fd > STDIN_FILENO)
        close(lines->fd);
    bytes_release(&lines->buffer);
    *lines = (struct batch_lines){0};
}

/* ---- the second one ---- */

static bool is_unchanged(const struct batch_lines *lines, struct error *err)
{
    struct stat now;
    const struct stat *then = &lines->as_found;
    if (!lines->is_regular)
        return true;
    if (fstat(lines->fd, &now) != 0)
        return error_errno(err, "%s", lines->name);
    return (now.st_size == then->st_size && now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
            now.st_mtim.tv_nsec == then->st_mtim.tv_nsec) ||
           error_set(err, ERROR_INPUT, "%s: it was changed while it was read", lines->name);
}

/* A signal between the look at the flag and the wait is seen late, and not never. */
static bool wait_for_input(const struct batch_lines *lines, struct error *err)
{
    struct pollfd wait = {.fd = lines->fd, .events = POLLIN};
    do
        if (is_interrupted(lines, err))
            return false;
    while (poll(&wait, 1, INTERRUPT_POLL_MS) <= 0);
    return true;
}

static bool fill(struct batch_lines *lines, struct error *err)
{
    if (!wait_for_input(lines, err))
        return false;
    bytes_remove_front(&lines->buffer, lines->begin);
    lines->begin = 0;
    bytes_reserve(&lines->buffer, PART_BYTES);
    const ssize_t n = read(lines->fd, lines->buffer.data + lines->buffer.len, PART_BYTES);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return error_errno(err, "%s", lines->name);
    if (n > 0)
        lines->buffer.len += (size_t)n;
    lines->at_end = n == 0;
    return is_unchanged(lines, err);
}

/* Where the line at `begin` ends, and how far on the next one begins. Of a line that is too long
 * the rest is read and dropped. */
static bool find_end(struct batch_lines *lines, struct batch_line *out, size_t *next,
                     struct error *err)
{
    size_t looked = 0; /* bytes of the line without a newline */
    for (;;) {
        const size_t n = lines->buffer.len - lines->begin;
        const char *text = lines->buffer.data + lines->begin;
        const char *newline = n > looked ? memchr(text + looked, '\n', n - looked) : NULL;
        const size_t n_line = newline != NULL ? (size_t)(newline - text) : n;
        if (n_line > BATCH_MAX_LINE_BYTES) {
            out->is_too_long = true;
            lines->buffer.len = lines->begin + BATCH_MAX_LINE_BYTES;
            if (newline != NULL) /* what comes after it stays */
                memmove(lines->buffer.data + lines->buffer.len, newline, n - n_line);
            if (newline != NULL)
                lines->buffer.len += n - n_line;
        }
        if (newline != NULL || lines->at_end) {
            out->n_bytes = n_line < BATCH_MAX_LINE_BYTES ? n_line : BATCH_MAX_LINE_BYTES;
            *next = out->n_bytes + (newline != NULL);
            return true;
        }
        looked = lines->buffer.len - lines->begin;
        if (!fill(lines, err))
            return false;
    }
}

static bool next_line(struct batch_lines *lines, struct batch_line *out, bool *got,
                      struct error *err)
{
    size_t next;
    *out = (struct batch_line){0};
    if (!find_end(lines, out, &next, err))
        return false;
    *got = next > 0;
    out->text = lines->buffer.data + lines->begin;
    lines->begin += next;
    out->line = ++lines->n_lines;
    if (out->line == 1 && out->n_bytes >= MARK_BYTES && memcmp(out->text, MARK, MARK_BYTES) == 0) {
        out->text += MARK_BYTES;
        out->n_bytes -= MARK_BYTES;
    }
    return true;
}

bool batch_lines_is_ready(const struct batch_lines *lines)
{
    struct pollfd wait = {.fd = lines->fd, .events = POLLIN};
    const size_t n = lines->buffer.len - lines->begin;
    return lines->at_end || (n > 0 && memchr(lines->buffer.data + lines->begin, '\n', n) != NULL) ||
           poll(&wait, 1, 0) != 0;
}

bool batch_lines_next(struct batch_lines *lines, struct batch_line *out, bool *got,
                      struct error *err)
{
    do
        if (!next_line(lines, out, got, err))
            return false;
    while (*got && !has_text(out->text, out->n_bytes));
    if (!*got)
        return true;
    out->number = lines->n_given++;
    return lines->n_given <= BATCH_MAX_REQUESTS ||
           error_set(err, ERROR_INPUT, "%s: a batch has at most %d requests", lines->name,
                     BATCH_MAX_REQUESTS);
}
