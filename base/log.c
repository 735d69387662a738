/* A line is made whole on the stack and leaves in one write(), so lines of several threads and
 * ranks do not mix. What does not fit is cut and marked with "...". A log that cannot be written
 * (disk full, closed pipe) is lost, and serving goes on; a line that comes through later says so.
 *
 * The level, the rank, the format and the patience are the one state in base/ that belongs to the
 * process: standard error does too, and handing a log through every call would say nothing new. */
#include "base/log.h"

#include "base/system.h"
#include "base/utf8.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 2048,
    ESCAPE_BYTES = 6,     /* of one character, at most */
    TAIL_BYTES = 16,      /* "...", a quote, "}", the end of line, NUL */
    TEXT_MAX_BYTES = 640, /* of the text of a field */
    NUMBER_MAX_BYTES = 64,
    PATIENCE_MS = 100,    /* of one who does not wait, with a reader that may be just slow */
    LAST_WORDS_MS = 1000, /* of the same, for what is for its user */
};

static atomic_int most_level = LOG_INFO;
static atomic_int own_rank = 0;
static atomic_int own_format = LOG_TEXT;
static atomic_bool never_waits = false;
static atomic_bool is_stuck = false; /* the reader took nothing while it was waited for */
static atomic_uint n_lost = 0;       /* lines */

void log_set(enum log_level most, int rank)
{
    atomic_store_explicit(&most_level, (int)most, memory_order_relaxed);
    atomic_store_explicit(&own_rank, rank, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
    atomic_store_explicit(&own_format, (int)format, memory_order_relaxed);
}

void log_set_never_waits(void) { atomic_store_explicit(&never_waits, true, memory_order_relaxed); }

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

static bool writes_json(void)
{
    return atomic_load_explicit(&own_format, memory_order_relaxed) == LOG_JSON;
}

/* ---- a line ---- */

struct line {
    char data[LINE_MAX_BYTES];
    size_t n;
};

/* Whole, or not at all where it does not fit with the end of the line. */
static bool add(struct line *line, const char *text, size_t n)
{
    if (line->n + n + TAIL_BYTES > sizeof line->data)
        return false;
    memcpy(line->data + line->n, text, n);
    line->n += n;
    return true;
}

static bool add_text(struct line *line, const char *text) { return add(line, text, strlen(text)); }

/* C0, DEL, and C1 as UTF-8 writes it: each could move a terminal's cursor or forge a line. */
static bool is_control(unsigned char before, unsigned char c)
{
    return c < 0x20 || c == 0x7f || (before == 0xc2 && c >= 0x80 && c < 0xa0);
}

/* How a byte is written in a line of text. */
static size_t escape_for_text(char out[ESCAPE_BYTES + 1], unsigned char before, unsigned char c,
                              bool in_quotes)
{
    const bool is_mark = in_quotes && (c == '"' || c == '\\');
    const char letter = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : (char)c;
    out[0] = (char)c;
    if (!is_mark && !is_control(before, c))
        return 1; /* nearly all: no call for them */
    if (is_mark || letter != (char)c)
        return (size_t)snprintf(out, ESCAPE_BYTES + 1, "\\%c", letter);
    return (size_t)snprintf(out, ESCAPE_BYTES + 1, "\\x%02x", c);
}

/* Escaped, up to `most` bytes; what is left out is marked. */
static void add_for_text(struct line *line, const char *text, size_t most, bool in_quotes)
{
    const size_t begin = line->n;
    unsigned char before = 0;
    for (; *text != '\0'; text++) {
        char escaped[ESCAPE_BYTES + 1];
        const unsigned char c = (unsigned char)*text;
        const size_t n = escape_for_text(escaped, before, c, in_quotes);
        if (line->n - begin + n > most || !add(line, escaped, n)) {
            memcpy(line->data + line->n, "...", 3); /* of the bytes for the tail */
            line->n += 3;
            return;
        }
        before = c;
    }
}

/* As the inside of a JSON string: whole characters of valid UTF-8, up to `most` bytes. */
static void add_for_json(struct line *line, const char *text, size_t most)
{
    const size_t begin = line->n, n_bytes = strlen(text);
    for (size_t at = 0; at < n_bytes;) {
        char escaped[ESCAPE_BYTES + 1];
        const char *what = escaped;
        size_t n;
        const unsigned char c = (unsigned char)text[at];
        const size_t rest = n_bytes - at < 4 ? n_bytes - at : 4;
        const size_t valid = utf8_valid_bytes(text + at, rest);
        uint32_t character = 0xfffd; /* a byte that is none */
        size_t next = at + 1;
        if (valid > 0) {
            next = at;
            character = utf8_read(text, &next);
        }
        if (character == '"' || character == '\\')
            n = (size_t)snprintf(escaped, sizeof escaped, "\\%c", c);
        else if (character < 0x20 || (character >= 0x7f && character < 0xa0) || valid == 0)
            n = (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)character);
        else {
            what = text + at;
            n = next - at;
        }
        if (line->n - begin + n > most || !add(line, what, n)) {
            memcpy(line->data + line->n, "...", 3);
            line->n += 3;
            return;
        }
        at = next;
    }
}

/* ---- its parts ---- */

static void write_rank(char out[16])
{
    const int rank = atomic_load_explicit(&own_rank, memory_order_relaxed);
    snprintf(out, 16, "gw");
    if (rank >= 0)
        snprintf(out, 16, "r%d", rank);
}

/* "12:04:11.381 r0 info  engine: ", in UTC so that hosts of one job agree. */
static void begin_text(struct line *line, enum log_level level, const char *module)
{
    const int64_t ms = clock_wall_ms() % (24 * 3600 * 1000);
    char who[16];
    write_rank(who);
    line->n = (size_t)snprintf(line->data, sizeof line->data,
                               "%02d:%02d:%02d.%03d %s %-5s %.64s: ", (int)(ms / 3600000),
                               (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000), who,
                               level_names[level], module);
}

/* A member of the object; its text is left open for the caller where it is NULL. */
static bool open_json_text(struct line *line, const char *name)
{
    const size_t before = line->n;
    if (add_text(line, ", \"") && add_text(line, name) && add_text(line, "\": \""))
        return true;
    line->n = before;
    return false;
}

static void add_json_text(struct line *line, const char *name, const char *text, size_t most)
{
    if (!open_json_text(line, name))
        return;
    add_for_json(line, text, most);
    line->data[line->n++] = '"';
}

static void begin_json(struct line *line, enum log_level level, const char *module)
{
    const int64_t now_ms = clock_wall_ms();
    struct calendar_time t;
    char who[16];
    clock_utc(&t, now_ms);
    write_rank(who);
    line->n = (size_t)snprintf(line->data, sizeof line->data,
                               "{\"time\": \"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\", "
                               "\"level\": \"%s\", \"rank\": \"%s\"",
                               t.year, t.month, t.day, t.hour, t.minute, t.second,
                               (int)(now_ms % 1000), level_names[level], who);
    add_json_text(line, "module", module, 64);
}

static bool is_plain(const char *text)
{
    return *text != '\0' && text[strcspn(text, " \"=\\")] == '\0';
}

/* Whole ones, which most are, by the short way. */
static void write_number(char out[NUMBER_MAX_BYTES], const struct log_field *field)
{
    const double most = INT_MAX, number = field->number;
    if (field->decimals == 0 && number >= -most && number <= most && number == (int)number)
        snprintf(out, NUMBER_MAX_BYTES, "%d", (int)number);
    else
        snprintf(out, NUMBER_MAX_BYTES, "%.*f", field->decimals, number);
}

static void add_field_as_text(struct line *line, const struct log_field *field, const char *number)
{
    const size_t before = line->n;
    if (!add_text(line, " ") || !add_text(line, field->name) || !add_text(line, "=")) {
        line->n = before;
        return;
    }
    const bool quoted = field->text != NULL && !is_plain(field->text);
    if (quoted)
        line->data[line->n++] = '"';
    add_for_text(line, field->text != NULL ? field->text : number, TEXT_MAX_BYTES, quoted);
    if (quoted)
        line->data[line->n++] = '"';
}

static void add_field_as_json(struct line *line, const struct log_field *field, const char *number)
{
    const size_t before = line->n;
    if (field->text != NULL)
        add_json_text(line, field->name, field->text, TEXT_MAX_BYTES);
    else if (!(add_text(line, ", \"") && add_text(line, field->name) && add_text(line, "\": ") &&
               add_text(line, isfinite(field->number) ? number : "null")))
        line->n = before;
}

/* ---- the way out ---- */

/* A pipe that has room for one byte takes all of a line, which is shorter than a page. */
static bool has_room(int wait_ms)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, wait_ms) == 1;
}

/* A burst of lines fills a pipe that is read. Who takes nothing is waited for once, and then not
 * before it has taken something. */
static bool await_room(int wait_ms)
{
    const bool was_stuck = atomic_load_explicit(&is_stuck, memory_order_relaxed);
    const int patience_ms = was_stuck || wait_ms > PATIENCE_MS ? wait_ms : PATIENCE_MS;
    const bool room = has_room(patience_ms);
    atomic_store_explicit(&is_stuck, !room, memory_order_relaxed);
    return room;
}

static bool write_line(struct line *line, int wait_ms)
{
    if (atomic_load_explicit(&never_waits, memory_order_relaxed) && !await_room(wait_ms))
        return false;
    line->data[line->n++] = '\n';
    for (size_t done = 0; done < line->n;) {
        const ssize_t wrote = write(STDERR_FILENO, line->data + done, line->n - done);
        if (wrote < 0 && errno != EINTR)
            return false;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

static void lose(unsigned n) { atomic_fetch_add_explicit(&n_lost, n, memory_order_relaxed); }

/* Before the first line that is likely to come through again. */
static void tell_lost(void)
{
    char text[64];
    struct line line;
    const unsigned n = atomic_exchange_explicit(&n_lost, 0, memory_order_relaxed);
    if (n == 0)
        return;
    snprintf(text, sizeof text, "%u lines are lost: they could not be written", n);
    if (writes_json()) {
        begin_json(&line, LOG_WARN, "log");
        add_json_text(&line, "message", text, sizeof line.data);
        line.data[line.n++] = '}';
    } else {
        begin_text(&line, LOG_WARN, "log");
        add_text(&line, text);
    }
    if (!write_line(&line, 0))
        lose(n);
}

/* The line leaves; errno is left as it was: a caller may log before it looks at it. */
static void send(struct line *line, int wait_ms)
{
    const int code = errno;
    tell_lost();
    if (!write_line(line, wait_ms))
        lose(1);
    errno = code;
}

/* ---- messages ---- */

static bool is_written(enum log_level level)
{
    const int rank = atomic_load_explicit(&own_rank, memory_order_relaxed);
    return level <= log_level() && (level != LOG_INFO || rank <= 0);
}

void log_write_fields(enum log_level level, const char *module, const char *message,
                      const struct log_field *field, int n_fields)
{
    const bool json = writes_json();
    struct line line;
    if (!is_written(level))
        return;
    if (json) {
        begin_json(&line, level, module);
        add_json_text(&line, "message", message, n_fields > 0 ? TEXT_MAX_BYTES : sizeof line.data);
    } else {
        begin_text(&line, level, module);
        add_for_text(&line, message, sizeof line.data, false);
    }
    for (int i = 0; i < n_fields; i++) {
        char number[NUMBER_MAX_BYTES] = "";
        if (field[i].text == NULL)
            write_number(number, &field[i]);
        if (json)
            add_field_as_json(&line, &field[i], number);
        else
            add_field_as_text(&line, &field[i], number);
    }
    if (json)
        line.data[line.n++] = '}';
    send(&line, 0);
}

void log_write(enum log_level level, const char *module, const char *fmt, ...)
{
    const int code = errno;
    char text[LINE_MAX_BYTES];
    va_list args;
    if (!is_written(level))
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log_write_fields(level, module, text, NULL, 0);
    errno = code;
}

void log_tell(const char *who, const char *text) { log_note(LOG_ERROR, who, text); }

void log_note(enum log_level level, const char *who, const char *text)
{
    struct line line;
    if (writes_json()) {
        begin_json(&line, level, who);
        add_json_text(&line, "message", text, sizeof line.data);
        line.data[line.n++] = '}';
    } else {
        line.n = (size_t)snprintf(line.data, sizeof line.data, "%.64s: ", who);
        add_for_text(&line, text, sizeof line.data, false);
    }
    send(&line, LAST_WORDS_MS);
}
