/* base/log.h: what the program says about itself, on standard error.
 *
 *   12:04:11.381 r0 info  engine: ready: ...
 *
 * error  the job or a request is lost        warn   degraded, goes on
 * info   at most one line per start, stop, model or configuration fact; rank 0 only; of a server,
 *        one per request
 * debug  per request                         trace  per step
 *
 * Times are UTC. Info lines of other ranks than 0 are dropped here, so callers need not ask.
 * Lower case, the exact cause, one line; control characters of the text are escaped.
 * Who decides that something is an error writes it; who forwards it is silent.
 * The level, the rank, the format and the patience belong to the process: launcher/ sets them once,
 * before threads start.
 */
#pragma once

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* As above, or each line one object: {"time": "2026-01-31T12:04:11.381Z", "level", "rank",
 * "module", "message"}, and the fields of log_write_fields(). */
enum log_format { LOG_TEXT, LOG_JSON };

void log_set(enum log_level most, int rank); /* rank -1: the gateway, printed as "gw" */
void log_set_format(enum log_format format);
/* From now on a line that standard error does not take (a pipe that nobody reads, a terminal that
 * is held) is lost, as where the disk is full; the next one that comes through says how many were.
 * A reader that takes nothing is waited for 0.1 s, once. Else the program waits, as one that is
 * read page by page should. */
void log_set_never_waits(void);
enum log_level log_level(void);
/* "error" … "trace"; of another word LOG_WARN. */
enum log_level log_level_named(const char *name);
void log_write(enum log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What a message is about, as name=value behind it, or as members of the object. */
struct log_field {
    const char *name; /* a literal: letters and _ */
    const char *text; /* any; NULL: the number */
    double number;
    int decimals; /* of the number that are shown */
};
void log_write_fields(enum log_level level, const char *module, const char *message,
                      const struct log_field *field, int n_fields);

/* The one line with which a program tells its user why it ends: "phalanx: text". Of any level. One
 * that never waits waits a second for this. */
void log_tell(const char *who, const char *text);
/* The same of what does not end it; the level is for who reads JSON. */
void log_note(enum log_level level, const char *who, const char *text);
