#include "launcher/line_input.h"

#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { INTERRUPT_POLL_MS = 200, PART_BYTES = 64 << 10 };

/* Waits for input in small steps: a signal between a look at the flag and the wait is seen late,
 * and not never. */
static enum line_result fill(struct line_input *input, struct error *err)
{
    for (;;) {
        struct pollfd wait = {.fd = input->fd, .events = POLLIN};
        if (*input->interrupt)
            return LINE_STOPPED;
        if (poll(&wait, 1, INTERRUPT_POLL_MS) > 0)
            break;
    }
    bytes_remove_front(&input->rest, input->begin);
    input->begin = 0;
    bytes_reserve(&input->rest, PART_BYTES);
    const ssize_t n = read(input->fd, input->rest.data + input->rest.len, PART_BYTES);
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
        error_errno(err, "reading the input");
        return LINE_FAILED;
    }
    if (n > 0)
        input->rest.len += (size_t)n;
    input->rest.data[input->rest.len] = '\0';
    input->at_end = n == 0;
    return LINE_READ;
}

enum line_result line_input_read(struct line_input *input, struct bytes *line, struct error *err)
{
    bytes_clear(line);
    for (;;) {
        const size_t n = input->rest.len - input->begin;
        const char *text = n > 0 ? input->rest.data + input->begin : "";
        const char *newline = memchr(text, '\n', n);
        const size_t n_line = newline != NULL ? (size_t)(newline - text) : n;
        if (!bytes_add(line, text, n_line)) {
            error_set(err, ERROR_INPUT, "a line of the input has more than %zu bytes", line->max);
            return LINE_FAILED;
        }
        input->begin += n_line + (newline != NULL);
        if (newline != NULL || (input->at_end && line->len > 0))
            return LINE_READ;
        if (input->at_end)
            return LINE_END;
        const enum line_result filled = fill(input, err);
        if (filled != LINE_READ)
            return filled;
    }
}
