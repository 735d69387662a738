/* launcher/batch/whole_file.h: a file that is there whole or not at all.
 *
 * It is written under another name beside it, NAME.partial, and takes its own in one step when all
 * of it is on the disk: a reader, and whoever looks after a crash, sees the old one or the new one.
 * What is no regular file (a pipe, /dev/null, "-" for standard output) is written as it is.
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

struct error;

struct whole_file {       /* all zero is closed */
    char *path, *partial; /* partial NULL: written as it is; owned */
    int fd;
    struct bytes buffer;
};

/* ERROR_INPUT: it cannot be made. Links are followed. whole_file_close() also after a failure. */
bool whole_file_open(struct whole_file *out, const char *path, struct error *err);
/* Buffered; a line of at most a few MB at a time. */
bool whole_file_write(struct whole_file *file, const char *data, size_t n_bytes, struct error *err);
/* Hands on what is buffered: to the reader of a pipe. */
bool whole_file_flush(struct whole_file *file, struct error *err);
/* It is there. */
bool whole_file_commit(struct whole_file *file, struct error *err);
/* What was not committed is removed. */
void whole_file_close(struct whole_file *file);

/* Whether there can be a partial one: the path names a regular file, or nothing yet. */
bool whole_file_is_possible(const char *path);
/* The name of the partial one; free it. */
char *whole_file_partial(const char *path);
/* The name of a new file is on the disk when its folder is. */
bool folder_sync(const char *path_in_it, struct error *err);
