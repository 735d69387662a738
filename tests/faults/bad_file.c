/* For LD_PRELOAD: a file that one rank of a job cannot open, as on a host whose disk is broken.
 *
 *   FAULT_FILE  the end of its path
 *   FAULT_RANK  the rank that meets it; other ranks and other programs open it as always
 *   FAULT_KIND  refuse: no permission; hang: open() does not come back
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int open(const char *path, int flags, ...);

static bool is_this_rank(const char *rank)
{
    const char *mine = getenv("OMPI_COMM_WORLD_RANK");
    return strcmp(program_invocation_short_name, "phalanx-rank") == 0 &&
           strcmp(rank, mine != NULL ? mine : "0") == 0;
}

static bool is_bad(const char *path)
{
    const char *file = getenv("FAULT_FILE"), *rank = getenv("FAULT_RANK");
    if (file == NULL || rank == NULL || strlen(file) > strlen(path))
        return false;
    return strcmp(path + strlen(path) - strlen(file), file) == 0 && is_this_rank(rank);
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
