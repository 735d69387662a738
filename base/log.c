/* A line is made whole on the stack and leaves in one write(), so lines of several threads and
 * ranks do not mix. What does not fit is cut and marked with "...". A log that cannot be written
 * (disk full, closed pipe) is lost in silence: serving goes on.
 *
 * The level and the rank are the one state in base/ that belongs to the process: standard error
 * does too, and handing a log through every call would say nothing new. */
#include "base/log.h"

#include "base/system.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048, ESCAPE_BYTES = 4, TAIL_BYTES = 5 /* "...\n" and NUL */ };

static atomic_int most_level = LOG_INFO;
static atomic_int own_rank = 0;

void log_set(enum log_level most, int rank)
{
    atomic_store_explicit(&most_level, (int)most, memory_order_relaxed);
    atomic_store_explicit(&own_rank, rank, memory_order_relaxed);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&most_level, memory_order_relaxed);
}

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

enum log_level log_level_named(const char *name)
{
    for (int i = 0; i <= LOG_TRACE; i++)
        if (strcmp(name, level_names[i]) == 0)
            return (enum log_level)i;
    return LOG_WARN;
}

/* "12:04:11.381 r0 info  engine: ", in UTC so that hosts of one job agree. */
static size_t write_head(char *line, size_t room, enum log_level level, int rank,
                         const char *module)
{
    const int64_t ms = clock_wall_ms() % (24 * 3600 * 1000);
    char who[16] = "gw";
    if (rank >= 0)
        snprintf(who, sizeof who, "r%d", rank);
    const int n = snprintf(line, room, "%02d:%02d:%02d.%03d %s %-5s %.64s: ", (int)(ms / 3600000),
                           (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000), who,
                           level_names[level], module);
    return (size_t)n;
}

/* C0, DEL, and C1 as UTF-8 writes it: each could move a terminal's cursor or forge a line. */
static bool is_control(unsigned char before, unsigned char c)
{
    return c < 0x20 || c == 0x7f || (before == 0xc2 && c >= 0x80 && c < 0xa0);
}

static size_t write_escaped(char *out, size_t room, const char *text)
{
    size_t n = 0;
    unsigned char before = 0;
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (n + ESCAPE_BYTES + TAIL_BYTES > room) {
            memcpy(out + n, "...", 3);
            return n + 3;
        }
        if (!is_control(before, c))
            out[n++] = (char)c;
        else if (c == '\n' || c == '\t' || c == '\r')
            n += (size_t)snprintf(out + n, room - n, "\\%c",
                                  c == '\n'   ? 'n'
                                  : c == '\t' ? 't'
                                              : 'r');
        else
            n += (size_t)snprintf(out + n, room - n, "\\x%02x", c);
        before = c;
    }
    return n;
}

/* Puts the text behind the first n bytes of the line, which leaves in one write(). */
static void end_line(char line[LINE_MAX_BYTES], size_t n, const char *text)
{
    n += write_escaped(line + n, LINE_MAX_BYTES - n, text);
    line[n++] = '\n';
    for (size_t done = 0; done < n;) {
        const ssize_t wrote = write(STDERR_FILENO, line + done, n - done);
        if (wrote < 0 && errno != EINTR)
            break;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
}

void log_write(enum log_level level, const char *module, const char *fmt, ...)
{
    const int rank = atomic_load_explicit(&own_rank, memory_order_relaxed);
    if (level > log_level() || (level == LOG_INFO && rank > 0))
        return;
    const int code = errno; /* a caller may log before it looks at errno */

    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);

    end_line(line, write_head(line, sizeof line, level, rank, module), text);
    errno = code;
}

void log_tell(const char *who, const char *text)
{
    char line[LINE_MAX_BYTES];
    end_line(line, (size_t)snprintf(line, sizeof line, "%.64s: ", who), text);
}
