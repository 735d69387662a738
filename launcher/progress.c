#include "launcher/progress.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/system.h"
#include "launcher/bytes_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH = 24, BAR_COLUMNS = WIDTH + 3 };
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

static double seconds(const struct progress *p, int64_t now_ns)
{
    return (double)(now_ns - p->begin_ns) * 1e-9;
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

static void add_bytes(struct bytes *out, const struct progress *p, size_t done, double s)
{
    char here[BYTES_TEXT], all[BYTES_TEXT], rate[BYTES_TEXT];
    bytes_printf(out, "%s of %s of %s, %s/s", bytes_text(here, (int64_t)done),
                 bytes_text(all, (int64_t)p->total), p->what,
                 bytes_text(rate, s > 0 ? (int64_t)((double)done / s) : 0));
}

static void add_things(struct bytes *out, const struct progress *p, size_t done, uint64_t n_tokens,
                       double s)
{
    bytes_printf(out, "%zu", done);
    if (p->total > 0)
        bytes_printf(out, "/%zu", p->total);
    bytes_printf(out, " %s, %.0f tokens/s", p->what, s > 0 ? (double)n_tokens / s : 0);
}

/* s: seconds since the begin. */
static void add_state(struct bytes *out, const struct progress *p, size_t done, uint64_t n_tokens,
                      double s)
{
    if (p->of_bytes)
        add_bytes(out, p, done, s);
    else
        add_things(out, p, done, n_tokens, s);
}

static void add_left(struct bytes *out, const struct progress *p, size_t done, double s)
{
    if (p->total > 0 && done > 0 && done < p->total) {
        bytes_add_text(out, ", ");
        add_time(out, s * (double)(p->total - done) / (double)done);
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

static void add_bar(struct bytes *out, const struct progress *p, size_t done)
{
    const int filled = (int)(WIDTH * done / p->total);
    bytes_add_text(out, "[");
    for (int i = 0; i < WIDTH; i++)
        bytes_add_text(out, i < filled ? "#" : ".");
    bytes_add_text(out, "] ");
}

/* Of the terminal; more than there is to say where it does not tell. */
static size_t columns(void)
{
    struct winsize size = {0};
    ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    return size.ws_col > 0 ? size.ws_col : SIZE_MAX;
}

/* What is longer than a line could not be taken back: first the bar goes, then the end of the text.
 * The cursor is left behind the last column: ranks have this terminal, too, and a line of theirs
 * then goes to the next one, as any text does that is too long. */
static void draw(struct progress *p, size_t done, uint64_t n_tokens, int64_t now_ns)
{
    struct bytes line = {0}, state = {0};
    const double s = seconds(p, now_ns);
    const size_t most = columns() - 1; /* the last one is for the cursor */
    add_state(&state, p, done, n_tokens, s);
    add_left(&state, p, done, s);
    bytes_add_text(&line, "\r\033[K");
    if (p->total > 0 && BAR_COLUMNS + state.len <= most)
        add_bar(&line, p, done);
    bytes_add(&line, state.data, state.len < most ? state.len : most);
    bytes_add_text(&line, "\033[999C ");
    bytes_release(&state);
    put(&line);
    p->drawn = true;
    p->drawn_ns = now_ns;
}

/* Of a server it is a line of its log, which may be JSON. */
static void tell_tenth(const struct progress *p, size_t done, uint64_t n_tokens, int64_t now_ns)
{
    struct bytes line = {0};
    if (p->of_bytes)
        bytes_add_text(&line, "loading, ");
    bytes_printf(&line, "%zu %%: ", 10 * p->tenths);
    add_state(&line, p, done, n_tokens, seconds(p, now_ns));
    add_left(&line, p, done, seconds(p, now_ns));
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
    progress_update_at(p, done, n_tokens, clock_now_ns());
}

void progress_update_at(struct progress *p, size_t done, uint64_t n_tokens, int64_t now_ns)
{
    if (p->quiet || now_ns - p->begin_ns < p->patience_ns)
        return;
    if (p->is_terminal) {
        if (now_ns - p->drawn_ns >= DRAW_NS)
            draw(p, done, n_tokens, now_ns);
        return;
    }
    const size_t tenths = p->total > 0 ? 10 * done / p->total : 0;
    if (tenths <= p->tenths || done >= p->total)
        return;
    p->tenths = tenths;
    tell_tenth(p, done, n_tokens, now_ns);
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
    const double s = seconds(p, clock_now_ns());
    struct bytes line = {0};
    if (p->quiet)
        return;
    progress_hide(p);
    add_state(&line, p, done, n_tokens, s);
    bytes_add_text(&line, ", ");
    add_time(&line, s);
    bytes_add_text(&line, " in all\n");
    put(&line);
}
