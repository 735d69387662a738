/* launcher/bench/plot.h: a run against a server as a picture (SVG): how latencies are distributed,
 * and what the server did over time. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

struct client_run;
struct serve_metrics;

/* `title` is any text. False: the file could not be written. */
bool plot_write(FILE *out, const char *title, struct serve_metrics *metrics,
                const struct client_run *run);
