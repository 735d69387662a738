#include "launcher/bench/plot.h"

#include "launcher/bench/serve_metrics.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 860, HEIGHT = 640, LEFT = 70, INNER = 720, N_BINS = 120, MAX_POINTS = 400 };

struct panel { /* a rectangle, and what its edges mean */
    double top, height;
    double min, max; /* of x, left and right */
    double max_y;    /* at the top; 0 is at the bottom */
    bool is_log;     /* x */
};

static double x_of(const struct panel *panel, double x)
{
    const double part = panel->is_log ? log(x / panel->min) / log(panel->max / panel->min)
                                      : (x - panel->min) / (panel->max - panel->min);
    return LEFT + INNER * part;
}

static double y_of(const struct panel *panel, double y)
{
    return panel->top + panel->height * (1 - y / panel->max_y);
}

static void put_text(FILE *out, double x, double y, const char *class, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
    for (; *text != '\0'; text++) {
        if (strchr("<>&\"", *text) != NULL)
            fprintf(out, "&#%d;", *text);
        else if ((unsigned char)*text >= ' ')
            fputc(*text, out);
    }
    fputs("</text>\n", out);
}

static void put_line(FILE *out, double x1, double y1, double x2, double y2)
{
    fprintf(out, "<path class=\"grid\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", x1, y1, x2, y2);
}

/* 1, 2 or 5 times a power of ten, so that about five of them make `range`. */
static double tick_of(double range)
{
    const double raw = range / 5, power = pow(10, floor(log10(raw))), digit = raw / power;
    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

static void put_y_axis(FILE *out, const struct panel *panel, const char *title, bool is_right)
{
    const double tick = tick_of(panel->max_y);
    for (double y = 0; y <= panel->max_y * 1.001; y += tick) {
        char text[24];
        snprintf(text, sizeof text, "%.6g", y);
        if (!is_right)
            put_line(out, LEFT, y_of(panel, y), LEFT + INNER, y_of(panel, y));
        put_text(out, is_right ? LEFT + INNER + 8 : LEFT - 8, y_of(panel, y) + 4,
                 is_right ? "start" : "end", text);
    }
    put_text(out, is_right ? LEFT + INNER : LEFT, panel->top - 10, is_right ? "end" : "start",
             title);
}

static void put_x_axis(FILE *out, const struct panel *panel, const char *title)
{
    const double tick = panel->is_log ? 0 : tick_of(panel->max - panel->min);
    const double bottom = panel->top + panel->height;
    for (double x = panel->min; x <= panel->max * 1.001; x = panel->is_log ? 10 * x : x + tick) {
        char text[24];
        snprintf(text, sizeof text, "%.6g", x);
        put_line(out, x_of(panel, x), panel->top, x_of(panel, x), bottom);
        put_text(out, x_of(panel, x), bottom + 18, "middle", text);
    }
    put_text(out, LEFT + INNER, bottom + 36, "end", title);
}

/* ---- distributions ---- */

static struct panel distribution_panel(struct serve_metrics *metrics)
{
    double min = INFINITY, max = 0;
    for (int i = 0; i < METRIC_COUNT; i++)
        if (metrics->is_shown[i] && metrics->of[i].n > 0) {
            min = fmin(min, 1e3 * samples_percentile(&metrics->of[i], 0));
            max = fmax(max, 1e3 * samples_percentile(&metrics->of[i], 100));
        }
    min = isinf(min) ? 1 : fmax(min, 1e-3); /* chunks that came together have no gap */
    max = fmax(max, min);
    struct panel panel = {.top = 70, .height = 210, .max_y = 100, .is_log = true};
    panel.min = pow(10, floor(log10(min)));
    panel.max = pow(10, ceil(log10(max)));
    panel.max = panel.max > panel.min ? panel.max : 10 * panel.min;
    return panel;
}

/* The values have been sorted by samples_percentile(). */
static void put_distribution(FILE *out, const struct panel *panel, const struct samples *sorted,
                             int metric)
{
    const size_t n = sorted->n, n_points = n < MAX_POINTS ? n : MAX_POINTS;
    fprintf(out, "<path class=\"curve m%d\" d=\"", metric);
    for (size_t i = 0; i < n_points; i++) {
        const size_t at = n_points > 1 ? i * (n - 1) / (n_points - 1) : 0;
        const double ms = fmax(1e3 * sorted->value[at], panel->min);
        fprintf(out, "%c%.1f %.1f", i == 0 ? 'M' : 'L', x_of(panel, ms),
                y_of(panel, 100 * (double)(at + 1) / (double)n));
    }
    fputs("\"/>\n", out);
}

static void put_distributions(FILE *out, struct serve_metrics *metrics)
{
    static const char *const titles[METRIC_COUNT] = {"TTFT", "TPOT", "ITL", "E2EL"};
    const struct panel panel = distribution_panel(metrics);
    put_y_axis(out, &panel, "% of requests (ITL: of gaps)", false);
    put_x_axis(out, &panel, "ms");
    double x = LEFT + INNER - 60;
    for (int i = METRIC_COUNT - 1; i >= 0; i--) {
        if (!metrics->is_shown[i] || metrics->of[i].n == 0)
            continue;
        put_distribution(out, &panel, &metrics->of[i], i);
        fprintf(out, "<path class=\"curve m%d\" d=\"M%.1f 56h18\"/>\n", i, x);
        put_text(out, x + 24, 60, "start", titles[i]);
        x -= 80;
    }
}

/* ---- over time ---- */

struct timeline {
    double tokens[N_BINS];    /* a second */
    double in_flight[N_BINS]; /* requests */
};

static int bin_of(const struct client_run *run, double at_s)
{
    const int bin = (int)(N_BINS * at_s / run->seconds);
    return bin < 0 ? 0 : bin < N_BINS ? bin : N_BINS - 1;
}

static void add_call(struct timeline *line, const struct client_run *run,
                     const struct call_result *call)
{
    const double bin_s = run->seconds / N_BINS;
    const double tokens = (double)call->n_output / (double)(call->gaps.n + 1); /* of a chunk */
    double at_s = call->start_s + call->ttft_s;
    for (int i = bin_of(run, call->start_s); i <= bin_of(run, call->start_s + call->e2el_s); i++)
        line->in_flight[i] += 1;
    if (call->ttft_s <= 0)
        return; /* it failed before a token came */
    line->tokens[bin_of(run, at_s)] += tokens / bin_s;
    for (size_t k = 0; k < call->gaps.n; k++) {
        at_s += call->gaps.value[k];
        line->tokens[bin_of(run, at_s)] += tokens / bin_s;
    }
}

static void put_bins(FILE *out, struct panel panel, const double bins[N_BINS], const char *class)
{
    const double bin_s = panel.max / N_BINS;
    fprintf(out, "<path class=\"%s\" d=\"M%.1f %.1f", class, x_of(&panel, 0), y_of(&panel, 0));
    for (int i = 0; i < N_BINS; i++)
        fprintf(out, "L%.1f %.1fL%.1f %.1f", x_of(&panel, i * bin_s), y_of(&panel, bins[i]),
                x_of(&panel, (i + 1) * bin_s), y_of(&panel, bins[i]));
    fprintf(out, "L%.1f %.1f\"/>\n", x_of(&panel, panel.max), y_of(&panel, 0));
}

static double most_of(const double bins[N_BINS])
{
    double most = 1;
    for (int i = 0; i < N_BINS; i++)
        most = fmax(most, bins[i]);
    return most;
}

static void put_timeline(FILE *out, const struct client_run *run)
{
    struct timeline line = {0};
    for (size_t i = 0; i < run->n; i++)
        add_call(&line, run, &run->call[i]);
    struct panel panel = {.top = 380, .height = 190, .max = run->seconds};
    panel.max_y = most_of(line.tokens);
    put_y_axis(out, &panel, "output tokens/s (filled)", false);
    put_x_axis(out, &panel, "s");
    put_bins(out, panel, line.tokens, "area");
    panel.max_y = most_of(line.in_flight);
    put_y_axis(out, &panel, "requests in flight (line)", true);
    put_bins(out, panel, line.in_flight, "curve m3");
}

bool plot_write(FILE *out, const char *title, struct serve_metrics *metrics,
                const struct client_run *run)
{
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\">\n<style>\n"
            "svg { background: #fff; font: 12px sans-serif; }\n"
            "text { fill: #333; } .end { text-anchor: end; } .middle { text-anchor: middle; }\n"
            ".title { font-size: 15px; font-weight: bold; }\n"
            ".grid { stroke: #0002; } .curve { fill: none; stroke-width: 1.8; }\n"
            ".m0 { stroke: #0f6d6a; } .m1 { stroke: #c2571a; } .m2 { stroke: #7a4fb5; }\n"
            ".m3 { stroke: #2563ae; } .area { fill: #0f6d6a55; }\n"
            "@media (prefers-color-scheme: dark) { svg { background: #15181b; }\n"
            "text { fill: #ccc; } .grid { stroke: #fff2; } .m0 { stroke: #5cc4bd; }\n"
            ".m1 { stroke: #f0955c; } .m2 { stroke: #b796ea; } .m3 { stroke: #79aef0; } }\n"
            "</style>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_text(out, LEFT, 28, "title", title);
    put_distributions(out, metrics);
    put_timeline(out, run);
    fputs("</svg>\n", out);
    return !ferror(out);
}
