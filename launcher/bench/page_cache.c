#include "launcher/bench/page_cache.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pages of the file that are in memory; all of them when the system does not tell. */
static double resident_bytes(int fd, size_t n_bytes)
{
    const size_t page = system_page_bytes(), n_pages = (n_bytes + page - 1) / page;
    void *map = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return (double)n_bytes;
    unsigned char *is_there = memory_alloc(n_pages, 1);
    size_t n = 0;
    if (mincore(map, n_bytes, is_there) != 0)
        memset(is_there, 1, n_pages);
    for (size_t i = 0; i < n_pages; i++)
        n += is_there[i] & 1;
    memory_free(is_there);
    munmap(map, n_bytes);
    return (double)n_bytes * (double)n / (double)n_pages;
}

bool page_cache_drop(const char *folder, double *left, struct error *err)
{
    double total = 0, resident = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return error_set(err, ERROR_INPUT, "%s: %s", folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat status;
        const int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
            fdatasync(fd); /* what is not yet on the disk would stay */
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            total += (double)status.st_size;
            resident += resident_bytes(fd, (size_t)status.st_size);
        }
        if (fd >= 0)
            close(fd);
    }
    closedir(dir);
    *left = total > 0 ? resident / total : 0;
    return true;
}
