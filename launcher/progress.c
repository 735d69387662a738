#include "launcher/progress.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/system.h"
#include "launcher/bytes_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 24 };
static const int64_t DRAW_NS = 200000000, PATIENCE_NS = 500000000;

void progress_begin(struct progress *out, const char *what, size_t total, bool quiet)
{
    const char *terminal = getenv("TERM");
    *out = (struct progress){.what = what, .total = total, .quiet = quiet};
    out->is_terminal = isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
    out->begin_ns = clock_now_ns();
}

void progress_begin_bytes(struct progress *out, const char *what, bool quiet)
{
    progress_begin(out, what, 0, quiet);
    out->of_bytes = true;
    out->patience_ns = PATIENCE_NS;
}

static double seconds(const struct progress *p)
{
    return (double)(clock_now_ns() - p->begin_ns) * 1e-9;
}

/* "1:02:03", "2:03" */
static void add_time(struct bytes *out, double s)
{
    const long long t = (long long)(s + 0.5);
    if (t >= 3600)
        bytes_printf(out, "%lld:%02lld:%02lld", t / 3600, t / 60 % 60, t % 60);
    else
        bytes_printf(out, "%lld:%02lld", t / 60, t % 60);
}

static void add_bytes(struct bytes *out, const struct progress *p, size_t done)
{
    char here[BYTES_TEXT], all[BYTES_TEXT], rate[BYTES_TEXT];
    const double s = seconds(p);
    bytes_printf(out, "%s of %s of %s, %s/s", bytes_text(here, (int64_t)done),
                 bytes_text(all, (int64_t)p->total), p->what,
                 bytes_text(rate, s > 0 ? (int64_t)((double)done / s) : 0));
}

static void add_things(struct bytes *out, const struct progress *p, size_t done, uint64_t n_tokens)
{
    const double s = seconds(p);
    bytes_printf(out, "%zu", done);
    if (p->total > 0)
        bytes_printf(out, "/%zu", p->total);
    bytes_printf(out, " %s, %.0f tokens/s", p->what, s > 0 ? (double)n_tokens / s : 0);
}

static void add_state(struct bytes *out, const struct progress *p, size_t done, uint64_t n_tokens)
{
    if (p->of_bytes)
        add_bytes(out, p, done);
    else
        add_things(out, p, done, n_tokens);
    if (p->total > 0 && done > 0 && done < p->total) {
        bytes_add_text(out, ", ");
        add_time(out, seconds(p) * (double)(p->total - done) / (double)done);
        bytes_add_text(out, " left");
    }
}

/* In one write, so that nothing of another process comes between. */
static void put(struct bytes *line)
{
    fwrite(line->data, 1, line->len, stderr);
    fflush(stderr);
    bytes_release(line);
}

static void draw(struct progress *p, size_t done, uint64_t n_tokens)
{
    struct bytes line = {0};
    bytes_add_text(&line, "\r\033[K");
    if (p->total > 0) {
        const int filled = (int)(WIDTH * done / p->total);
        bytes_add_text(&line, "[");
        for (int i = 0; i < WIDTH; i++)
            bytes_add_text(&line, i < filled ? "#" : ".");
        bytes_add_text(&line, "] ");
    }
    add_state(&line, p, done, n_tokens);
    put(&line);
    p->drawn = true;
    p->drawn_ns = clock_now_ns();
}

/* Of a server it is a line of its log, which may be JSON. */
static void tell_tenth(const struct progress *p, size_t done, uint64_t n_tokens)
{
    struct bytes line = {0};
    if (p->of_bytes)
        bytes_add_text(&line, "loading, ");
    bytes_printf(&line, "%zu %%: ", 10 * p->tenths);
    add_state(&line, p, done, n_tokens);
    if (p->of_bytes) {
        log_note(LOG_INFO, "phalanx", line.data);
        bytes_release(&line);
    } else {
        bytes_add_text(&line, "\n");
        put(&line);
    }
}

void progress_update(struct progress *p, size_t done, uint64_t n_tokens)
{
    if (p->quiet || (p->patience_ns > 0 && clock_now_ns() - p->begin_ns < p->patience_ns))
        return;
    if (p->is_terminal) {
        if (clock_now_ns() - p->drawn_ns >= DRAW_NS)
            draw(p, done, n_tokens);
        return;
    }
    const size_t tenths = p->total > 0 ? 10 * done / p->total : 0;
    if (tenths <= p->tenths || done >= p->total)
        return;
    p->tenths = tenths;
    tell_tenth(p, done, n_tokens);
}

void progress_hide(struct progress *p)
{
    if (!p->drawn)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    p->drawn = false;
    p->drawn_ns = 0;
}

void progress_end(struct progress *p, size_t done, uint64_t n_tokens)
{
    struct bytes line = {0};
    if (p->quiet)
        return;
    progress_hide(p);
    add_state(&line, p, done, n_tokens);
    bytes_add_text(&line, ", ");
    add_time(&line, seconds(p));
    bytes_add_text(&line, " in all\n");
    put(&line);
}
