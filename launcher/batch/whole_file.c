#include "launcher/batch/whole_file.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 << 10 };

bool whole_file_is_possible(const char *path)
{
    struct stat about;
    return strcmp(path, "-") != 0 && (stat(path, &about) != 0 || S_ISREG(about.st_mode));
}

static bool refuse(const char *path, struct error *err)
{
    const bool is_full = errno == ENOSPC || errno == EDQUOT || errno == EIO;
    return error_set(err, is_full ? ERROR_SYSTEM : ERROR_INPUT, "%s: %s", path, strerror(errno));
}

char *whole_file_partial(const char *path)
{
    char target[PATH_MAX];
    const char *real = realpath(path, target) != NULL ? target : path;
    const size_t n = strlen(real) + sizeof ".partial";
    char *name = memory_alloc(n, 1);
    snprintf(name, n, "%s.partial", real);
    return name;
}

bool whole_file_open(struct whole_file *out, const char *path, struct error *err)
{
    char target[PATH_MAX];
    *out = (struct whole_file){.fd = STDOUT_FILENO};
    if (strcmp(path, "-") == 0) {
        out->path = memory_copy_text("standard output");
        return true;
    }
    out->path = memory_copy_text(realpath(path, target) != NULL ? target : path);
    if (whole_file_is_possible(path))
        out->partial = whole_file_partial(path);
    out->fd = open(out->partial != NULL ? out->partial : out->path,
                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return out->fd >= 0 || refuse(out->path, err);
}

bool whole_file_flush(struct whole_file *file, struct error *err)
{
    for (size_t done = 0; done < file->buffer.len;) {
        const ssize_t n = write(file->fd, file->buffer.data + done, file->buffer.len - done);
        struct pollfd wait = {.fd = file->fd, .events = POLLOUT};
        if (n < 0 && errno == EAGAIN)
            poll(&wait, 1, -1);
        else if (n < 0 && errno != EINTR)
            return error_errno(err, "%s", file->path);
        else if (n > 0)
            done += (size_t)n;
    }
    bytes_clear(&file->buffer);
    return true;
}

bool whole_file_write(struct whole_file *file, const char *data, size_t n_bytes, struct error *err)
{
    bytes_add(&file->buffer, data, n_bytes);
    return file->buffer.len < BUFFER_BYTES || whole_file_flush(file, err);
}

bool folder_sync(const char *path_in_it, struct error *err)
{
    const char *slash = strrchr(path_in_it, '/');
    char *folder = memory_copy_text(slash != NULL ? path_in_it : ".");
    if (slash != NULL)
        folder[slash == path_in_it ? 1 : slash - path_in_it] = '\0';
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* file systems that cannot (EINVAL) order names by themselves */
    const bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    if (!good)
        error_errno(err, "%s: to the disk", folder);
    if (fd >= 0)
        close(fd);
    memory_free(folder);
    return good;
}

bool whole_file_commit(struct whole_file *file, struct error *err)
{
    if (!whole_file_flush(file, err))
        return false;
    if (file->partial == NULL)
        return true;
    if (fsync(file->fd) != 0)
        return error_errno(err, "%s: to the disk", file->partial);
    if (rename(file->partial, file->path) != 0)
        return error_errno(err, "%s", file->path);
    memory_free(file->partial);
    file->partial = NULL;
    return folder_sync(file->path, err);
}

void whole_file_close(struct whole_file *file)
{
    if (file->fd > STDERR_FILENO)
        close(file->fd);
    if (file->partial != NULL)
        unlink(file->partial);
    memory_free(file->partial);
    memory_free(file->path);
    bytes_release(&file->buffer);
    *file = (struct whole_file){0};
}
