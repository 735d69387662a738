/* base/system.h: the system calls we use, one contract each. The only place that reads a clock. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

struct error;

int64_t clock_now_ns(void);  /* monotonic; for every duration and deadline */
int64_t clock_wall_ms(void); /* since 1970; only for log lines and timestamps users see */

struct calendar_time {    /* a moment as a calendar and a clock on the wall show it */
    int year, month, day; /* month and day from 1 */
    int hour, minute, second;
};
void clock_calendar(struct calendar_time *out); /* now, in the time zone of this machine */
void clock_utc(struct calendar_time *out, int64_t wall_ms); /* of clock_wall_ms() */

/* A duration for a timer of an event loop, which it never makes early: rounded up to microseconds.
 * One below 0 is over. */
static inline struct timeval clock_timeval(int64_t ns)
{
    const int64_t us = ns > 0 ? ns / 1000 + (ns % 1000 > 0) : 0;
    return (struct timeval){us / 1000000, us % 1000000};
}

int system_cpus(void); /* CPUs this process may run on, at least 1 */
size_t system_page_bytes(void);
int64_t system_resident_bytes(void);  /* of this process; -1 unknown */
int64_t system_available_bytes(void); /* memory that can be had without swapping; -1 unknown */
bool system_random(void *out, size_t n_bytes, struct error *err);
void system_sleep_ns(int64_t ns);
void system_yield(void); /* lets another thread that waits for this CPU run first */
void system_pause(
    void); /* between two looks of a spinning loop: lets the core's other thread run */

/* A whole regular file, mapped read-only and shared with every other process that maps it.
 * ERROR_INPUT when it does not exist, cannot be read, or is no regular file (path in the text). */
struct file_map {
    const unsigned char *data; /* NULL for an empty file */
    size_t n_bytes;
};
bool file_map_open(struct file_map *out, const char *path, struct error *err);
void file_map_close(struct file_map *map);
/* These bytes of the mapping will be read soon: the system may fetch them from the disk meanwhile.
 * Nothing is waited for and nothing can fail. */
void file_map_prefetch(const struct file_map *map, const void *data, size_t n_bytes);
/* The pages that were read so far count no longer as memory of this process. They come back, from
 * the system's cache or the disk, when they are read again. */
void file_map_forget(const struct file_map *map);

/* A whole file of at most max_bytes in memory of memory_alloc(), with a NUL after it.
 * ERROR_INPUT as above, or when it is larger than max_bytes. Free with memory_free(). */
bool file_read(char **out, size_t *n_bytes, const char *path, size_t max_bytes, struct error *err);
bool file_exists(const char *path);

/* Waits until *word != seen or the deadline (clock_now_ns) passes; may wake early.
 * False on a passed deadline; INT64_MAX is none. `shared`: the word lies in memory of several
 * processes. */
bool futex_wait(const uint32_t *word, uint32_t seen, int64_t deadline_ns, bool shared);
void futex_wake(const uint32_t *word, int n_waiters, bool shared);
