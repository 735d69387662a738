/* launcher/line_input.h: lines of an input that nobody edits: a pipe, a file. */
#pragma once
#include "base/bytes.h"

#include <signal.h>
#include <stdbool.h>

enum line_result {
    LINE_READ,
    LINE_END,     /* of the input */
    LINE_DROPPED, /* the user took it back (Ctrl-C); an editor only */
    LINE_STOPPED, /* the interrupt flag is set */
    LINE_FAILED,  /* the error is set */
};

struct error;

struct line_input {
    int fd;
    const volatile sig_atomic_t *interrupt;
    struct bytes rest; /* read and not yet given; release it */
    size_t begin;      /* of what is not yet given */
    bool at_end;
};

/* One line without its newline, of at most line->max bytes; the last one may lack the newline. A
 * longer one is ERROR_INPUT. */
enum line_result line_input_read(struct line_input *input, struct bytes *line, struct error *err);
