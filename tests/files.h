/* tests/files.h: files and outputs for tests that need real ones. Failures end the test. */
#pragma once
#include <stddef.h>

/* A new empty folder under /tmp; the path lives in `path`. Remove it with folder_remove(). */
struct folder {
    char path[64];
};
struct folder folder_make(void);
void folder_remove(const struct folder *folder); /* and all it holds */

/* Writes `path` = folder/name, whose text lives until the next call with the same `path`. */
struct file_path {
    char text[320];
};
struct file_path folder_write(const struct folder *folder, const char *name, const void *data,
                              size_t n_bytes);
struct file_path folder_path(const struct folder *folder, const char *name);

/* Everything that run(context) writes to standard error, as text, at most n_bytes - 1 of it. */
void capture_stderr(char *out, size_t n_bytes, void (*run)(void *context), void *context);

/* Runs run(context) in a child process; its exit status, or minus the signal that ended it. */
int outcome_of(void (*run)(void *context), void *context);
