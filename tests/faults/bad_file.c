/* For LD_PRELOAD: a file that one rank of a job cannot open, as on a host whose disk is broken, or
 * that the gateway cannot write to, as on a disk that is full.
 *
 *   FAULT_FILE   the end of its path
 *   FAULT_RANK   the rank that meets it; other ranks and other programs open it as always
 *   FAULT_KIND   refuse: no permission; hang: open() does not come back; full: in phalanx, and not
 *                in ranks, the file takes FAULT_BYTES bytes and no more
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

int open(const char *path, int flags, ...);

static bool is_this_rank(const char *rank)
{
    const char *mine = getenv("OMPI_COMM_WORLD_RANK");
    return strcmp(program_invocation_short_name, "phalanx-rank") == 0 &&
           strcmp(rank, mine != NULL ? mine : "0") == 0;
}

static bool is_the_file(const char *path)
{
    const char *file = getenv("FAULT_FILE");
    return file != NULL && strlen(file) <= strlen(path) &&
           strcmp(path + strlen(path) - strlen(file), file) == 0;
}

static bool is_bad(const char *path)
{
    const char *rank = getenv("FAULT_RANK");
    return rank != NULL && is_the_file(path) && is_this_rank(rank);
}

/* How many of n bytes from `at` on the disk has room for; -1: none. */
static ssize_t room(int fd, off_t at, size_t n)
{
    char link[64], path[4096];
    const char *kind = getenv("FAULT_KIND"), *most = getenv("FAULT_BYTES");
    if (kind == NULL || most == NULL || strcmp(kind, "full") != 0 ||
        strcmp(program_invocation_short_name, "phalanx") != 0)
        return (ssize_t)n;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    const long long left = strtoll(most, NULL, 10) - (long long)at;
    if (!is_the_file(path) || left >= (long long)n)
        return (ssize_t)n;
    errno = ENOSPC;
    return left > 0 ? (ssize_t)left : -1;
}

ssize_t write(int fd, const void *data, size_t n)
{
    const off_t at = lseek(fd, 0, SEEK_CUR);
    const ssize_t fits = room(fd, at > 0 ? at : 0, n);
    return fits < 0 ? -1 : syscall(SYS_write, fd, data, (size_t)fits);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    const ssize_t fits = room(fd, at, n);
    return fits < 0 ? -1 : syscall(SYS_pwrite64, fd, data, (size_t)fits, at);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;
    va_start(args, flags);
    if ((flags & (O_CREAT | O_TMPFILE)) != 0)
        mode = va_arg(args, mode_t);
    va_end(args);
    if (is_bad(path)) {
        const char *kind = getenv("FAULT_KIND");
        while (kind != NULL && strcmp(kind, "hang") == 0)
            pause();
        errno = EACCES;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
