/* Thin: a call, its retries, and words for what went wrong. */
#include "base/system.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const int64_t ns_per_s = 1000 * 1000 * 1000;

int64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * ns_per_s + now.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / (1000 * 1000);
}

static struct calendar_time calendar_of(const struct tm *parts)
{
    return (struct calendar_time){.year = parts->tm_year + 1900,
                                  .month = parts->tm_mon + 1,
                                  .day = parts->tm_mday,
                                  .hour = parts->tm_hour,
                                  .minute = parts->tm_min,
                                  .second = parts->tm_sec};
}

void clock_calendar(struct calendar_time *out)
{
    const time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm parts;
    check(localtime_r(&now, &parts) != NULL);
    *out = calendar_of(&parts);
}

void clock_utc(struct calendar_time *out, int64_t wall_ms)
{
    const time_t then = (time_t)(wall_ms / 1000);
    struct tm parts;
    check(gmtime_r(&then, &parts) != NULL);
    *out = calendar_of(&parts);
}

static struct timespec timespec_make(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / ns_per_s, .tv_nsec = ns % ns_per_s};
}

void system_sleep_ns(int64_t ns)
{
    if (ns <= 0)
        return;
    const struct timespec until = timespec_make(clock_now_ns() + ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
        /* a signal: sleep on to the same moment */
    }
}

void system_yield(void) { sched_yield(); }

/* A fixed cpu_set_t ends at 1024 CPUs; larger machines answer EINVAL until the set is as large. */
int system_cpus(void)
{
    for (int room = 1024; room <= 1 << 20; room *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)room);
        if (set == NULL)
            break;
        const size_t n_bytes = CPU_ALLOC_SIZE((size_t)room);
        const bool known = sched_getaffinity(0, n_bytes, set) == 0;
        const int count = known ? CPU_COUNT_S(n_bytes, set) : 0;
        CPU_FREE(set);
        if (known)
            return count > 0 ? count : 1;
        if (errno != EINVAL)
            break;
    }
    return 1;
}

size_t system_page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

int64_t system_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return -1;
    long long total, resident;
    const bool known = fscanf(file, "%lld %lld", &total, &resident) == 2;
    fclose(file);
    return known ? resident * (int64_t)system_page_bytes() : -1;
}

int64_t system_available_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return -1;
    char line[128];
    long long kilobytes = -1;
    while (kilobytes < 0 && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %lld kB", &kilobytes) != 1)
            kilobytes = -1;
    }
    fclose(file);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

bool system_random(void *out, size_t n_bytes, struct error *err)
{
    unsigned char *at = out;
    while (n_bytes > 0) {
        const ssize_t n = getrandom(at, n_bytes, 0);
        if (n < 0 && errno != EINTR)
            return error_errno(err, "random bytes from the system");
        if (n > 0) {
            at += n;
            n_bytes -= (size_t)n;
        }
    }
    return true;
}

void system_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* A path that is wrong is the user's to mend, a full table of open files is the system's. */
static bool file_refused(const char *path, struct error *err)
{
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
        return error_errno(err, "%s", path);
    return error_set(err, ERROR_INPUT, "%s: %s", path, strerror(errno));
}

/* O_NONBLOCK: opening a FIFO would wait for its writer before we could see what it is. */
static bool open_regular(int *out, size_t *n_bytes, const char *path, struct error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return file_refused(path, err);
    struct stat about;
    bool ok = fstat(fd, &about) == 0;
    if (!ok)
        file_refused(path, err);
    else if (!S_ISREG(about.st_mode))
        ok = error_set(err, ERROR_INPUT, "%s: %s, want a regular file", path,
                       S_ISDIR(about.st_mode) ? "a directory" : "no regular file");
    if (!ok) {
        close(fd);
        return false;
    }
    *out = fd;
    *n_bytes = (size_t)about.st_size;
    return true;
}

bool file_map_open(struct file_map *out, const char *path, struct error *err)
{
    int fd;
    *out = (struct file_map){0};
    size_t n_bytes;
    if (!open_regular(&fd, &n_bytes, path, err))
        return false;
    void *data = n_bytes ? mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0) : NULL;
    const int code = errno;
    close(fd); /* the mapping keeps the file */
    errno = code;
    if (data == MAP_FAILED)
        return error_errno(err, "%s: mapping %zu bytes", path, n_bytes);
    *out = (struct file_map){.data = data, .n_bytes = n_bytes};
    return true;
}

void file_map_close(struct file_map *map)
{
    if (map->data != NULL)
        check(munmap((void *)(uintptr_t)map->data, map->n_bytes) == 0);
    *map = (struct file_map){0};
}

void file_map_prefetch(const struct file_map *map, const void *data, size_t n_bytes)
{
    const size_t begin = (size_t)((const unsigned char *)data - map->data);
    check(begin <= map->n_bytes && n_bytes <= map->n_bytes - begin);
    const size_t in_page = begin % system_page_bytes(); /* a mapping begins with a page */
    if (n_bytes > 0)
        madvise((void *)((uintptr_t)data - in_page), n_bytes + in_page, MADV_WILLNEED);
}

void file_map_forget(const struct file_map *map)
{
    if (map->data != NULL)
        madvise((void *)(uintptr_t)map->data, map->n_bytes, MADV_DONTNEED);
}

static bool too_large(const char *path, size_t max_bytes, struct error *err)
{
    return error_set(err, ERROR_INPUT, "%s: larger than %zu bytes, the most that is read", path,
                     max_bytes);
}

/* Reads to the end and not to the size that fstat() told: files under /proc say 0, and a log
 * may grow meanwhile. */
static bool read_all(char **out, size_t *n_bytes, int fd, size_t expected, size_t max_bytes,
                     const char *path, struct error *err)
{
    size_t capacity = expected + 2, len = 0; /* one for the NUL, one to meet the end */
    char *data = memory_resize(NULL, capacity, 1);
    for (;;) {
        const ssize_t n = read(fd, data + len, capacity - len - 1);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        len += n > 0 ? (size_t)n : 0;
        if (n < 0 || len > max_bytes) {
            memory_free(data);
            return n < 0 ? file_refused(path, err) : too_large(path, max_bytes, err);
        }
        if (len == capacity - 1) {
            capacity *= 2;
            data = memory_resize(data, capacity, 1);
        }
    }
    data[len] = '\0';
    *out = data;
    *n_bytes = len;
    return true;
}

bool file_read(char **out, size_t *n_bytes, const char *path, size_t max_bytes, struct error *err)
{
    int fd;
    size_t expected;
    if (!open_regular(&fd, &expected, path, err))
        return false;
    const bool ok = expected > max_bytes
                        ? too_large(path, max_bytes, err)
                        : read_all(out, n_bytes, fd, expected, max_bytes, path, err);
    close(fd);
    return ok;
}

bool file_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

bool futex_wait(const uint32_t *word, uint32_t seen, int64_t deadline_ns, bool shared)
{
    /* WAIT_BITSET, because its time is a moment and not a duration */
    const int op = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    const struct timespec until = timespec_make(deadline_ns > 0 ? deadline_ns : 0);
    return syscall(SYS_futex, word, op, seen, deadline_ns == INT64_MAX ? NULL : &until, NULL,
                   FUTEX_BITSET_MATCH_ANY) == 0 ||
           errno != ETIMEDOUT;
}

void futex_wake(const uint32_t *word, int n_waiters, bool shared)
{
    syscall(SYS_futex, word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), n_waiters, NULL, NULL,
            0);
}
