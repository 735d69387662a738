#include "tests/files.h"

#include "tests/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct folder folder_make(void)
{
    struct folder folder = {.path = "/tmp/phalanx-test-XXXXXX"};
    CHECK(mkdtemp(folder.path) != NULL);
    return folder;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    return remove(path);
}

void folder_remove(const struct folder *folder)
{
    CHECK_EQ(nftw(folder->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

struct file_path folder_path(const struct folder *folder, const char *name)
{
    struct file_path path;
    const int n = snprintf(path.text, sizeof path.text, "%s/%s", folder->path, name);
    CHECK(n > 0 && (size_t)n < sizeof path.text);
    return path;
}

struct file_path folder_write(const struct folder *folder, const char *name, const void *data,
                              size_t n_bytes)
{
    const struct file_path path = folder_path(folder, name);
    FILE *file = fopen(path.text, "wb");
    CHECK(file != NULL);
    CHECK_EQ(n_bytes > 0 ? fwrite(data, 1, n_bytes, file) : 0, n_bytes);
    CHECK_EQ(fclose(file), 0);
    return path;
}

/* Through a file and not a pipe, so that any amount fits without a reader. */
void capture_stderr(char *out, size_t n_bytes, void (*run)(void *context), void *context)
{
    char path[] = "/tmp/phalanx-test-XXXXXX";
    const int file = mkstemp(path), before = dup(STDERR_FILENO);
    CHECK(file >= 0 && before >= 0);
    CHECK_EQ(unlink(path), 0);
    CHECK(dup2(file, STDERR_FILENO) >= 0);
    run(context);
    CHECK(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    const ssize_t n = pread(file, out, n_bytes - 1, 0);
    close(file);
    CHECK(n >= 0);
    out[n] = '\0';
}

int outcome_of(void (*run)(void *context), void *context)
{
    fflush(stdout); /* or the child would print it again */
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        const int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        run(context);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
