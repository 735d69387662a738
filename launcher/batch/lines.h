/* launcher/batch/lines.h: the requests of a batch, one a line, from a file of any size.
 *
 * A line is held, never the file. A regular file is read twice: when it is opened, to count its
 * requests and to know it again (a hash of all its bytes), and then line by line; when it changes
 * meanwhile, the next read fails before anything of the change is used. Anything else (a pipe) is
 * read once, as it comes. Blank lines are no requests, nor is a byte order mark at the front.
 */
#pragma once
#include "base/bytes.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct error;

enum { BATCH_MAX_LINE_BYTES = 16 << 20, BATCH_MAX_REQUESTS = 16 << 20 };

struct batch_lines {
    const char *name; /* borrowed: the path, or "standard input" */
    int fd;
    const volatile sig_atomic_t *interrupt;
    bool is_regular;      /* what follows is known */
    uint64_t n_bytes;     /* of the file */
    uint64_t n_requests;  /* in the file */
    uint64_t hash[2];     /* of all bytes */
    struct stat as_found; /* by which a change is seen */
    struct bytes buffer;
    size_t begin; /* of what is not yet given */
    bool at_end;
    uint64_t n_lines, n_given; /* read so far, blank ones too; requests */
};

struct batch_line {   /* borrowed until the next call */
    uint64_t number;  /* of the request, from 0 */
    uint64_t line;    /* of the file, from 1 */
    const char *text; /* without its newline */
    size_t n_bytes;
    bool is_too_long; /* only the first BATCH_MAX_LINE_BYTES are there */
};

/* "-" is standard input. ERROR_INPUT: no such file, no request in it, too many of them.
 * batch_lines_close() also after a failure. */
bool batch_lines_open(struct batch_lines *out, const char *path,
                      const volatile sig_atomic_t *interrupt, struct error *err);
/* Whether the next line is there without waiting for somebody to write it. */
bool batch_lines_is_ready(const struct batch_lines *lines);
/* *got false: the end. ERROR_INPUT: the file was changed; ERROR_LIMIT: interrupted. */
bool batch_lines_next(struct batch_lines *lines, struct batch_line *out, bool *got,
                      struct error *err);
void batch_lines_close(struct batch_lines *lines);
