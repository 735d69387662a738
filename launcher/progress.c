#include "launcher/progress.h"

#include "base/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 24 };
static const int64_t DRAW_NS = 200000000;

void progress_begin(struct progress *out, const char *what, size_t total, bool quiet)
{
    const char *terminal = getenv("TERM");
    *out = (struct progress){.what = what, .total = total, .quiet = quiet};
    out->is_terminal = isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
    out->begin_ns = clock_now_ns();
}

static double seconds(const struct progress *p)
{
    return (double)(clock_now_ns() - p->begin_ns) * 1e-9;
}

/* "1:02:03", "2:03" */
static void print_time(double s)
{
    const long long t = (long long)(s + 0.5);
    if (t >= 3600)
        fprintf(stderr, "%lld:%02lld:%02lld", t / 3600, t / 60 % 60, t % 60);
    else
        fprintf(stderr, "%lld:%02lld", t / 60, t % 60);
}

static void print_state(const struct progress *p, size_t done, uint64_t n_tokens)
{
    const double s = seconds(p);
    if (p->total > 0)
        fprintf(stderr, "%zu/%zu %s, %.0f tokens/s", done, p->total, p->what,
                s > 0 ? (double)n_tokens / s : 0);
    else
        fprintf(stderr, "%zu %s, %.0f tokens/s", done, p->what, s > 0 ? (double)n_tokens / s : 0);
    if (p->total > 0 && done > 0 && done < p->total) {
        fputs(", ", stderr);
        print_time(s * (double)(p->total - done) / (double)done);
        fputs(" left", stderr);
    }
}

static void draw(struct progress *p, size_t done, uint64_t n_tokens)
{
    fputs("\r\033[K", stderr);
    if (p->total > 0) {
        const int filled = (int)(WIDTH * done / p->total);
        fputc('[', stderr);
        for (int i = 0; i < WIDTH; i++)
            fputc(i < filled ? '#' : '.', stderr);
        fputs("] ", stderr);
    }
    print_state(p, done, n_tokens);
    fflush(stderr);
    p->drawn = true;
    p->drawn_ns = clock_now_ns();
}

void progress_update(struct progress *p, size_t done, uint64_t n_tokens)
{
    if (p->quiet)
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
    fprintf(stderr, "%zu %%: ", 10 * tenths);
    print_state(p, done, n_tokens);
    fputc('\n', stderr);
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
    if (p->quiet)
        return;
    progress_hide(p);
    print_state(p, done, n_tokens);
    fputs(", ", stderr);
    print_time(seconds(p));
    fputs(" in all\n", stderr);
}
