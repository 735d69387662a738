/* base/log.h: what the program says about itself, on standard error.
 *
 *   12:04:11.381 r0 info  engine: ready: ...
 *
 * error  the job or a request is lost        warn   degraded, goes on
 * info   at most one line per start, stop, model or configuration fact; rank 0 only
 * debug  per request                         trace  per step
 *
 * Times are UTC. Info lines of other ranks than 0 are dropped here, so callers need not ask.
 * Lower case, the exact cause, one line; control characters of the text are escaped.
 * Who decides that something is an error writes it; who forwards it is silent.
 * The level and the rank belong to the process: launcher/ sets them once, before threads start.
 */
#pragma once

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

void log_set(enum log_level most, int rank); /* rank -1: the gateway, printed as "gw" */
enum log_level log_level(void);
/* "error" … "trace"; of another word LOG_WARN. */
enum log_level log_level_named(const char *name);
void log_write(enum log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The one line with which a program tells its user why it ends: "phalanx: text". Of any level. */
void log_tell(const char *who, const char *text);
