/* proto/prometheus.h: numbers as Prometheus reads them, text format 0.0.4.
 *
 * A family is its HELP and TYPE, then its samples. Names are literals; values of labels may be any
 * text (escaped here).
 */
#pragma once
#include "base/bytes.h"

#include <stdint.h>

struct prometheus_label {
    const char *name, *value;
};

/* Labels of a sample: those of all, then its own. */
struct prometheus_labels {
    const struct prometheus_label *label;
    int n;
};

enum prometheus_type { PROMETHEUS_COUNTER, PROMETHEUS_GAUGE, PROMETHEUS_HISTOGRAM };

void prometheus_family(struct bytes *out, const char *name, enum prometheus_type type,
                       const char *help);
/* `extra` may be NULL. */
void prometheus_sample(struct bytes *out, const char *name, const struct prometheus_labels *labels,
                       const struct prometheus_label *extra, double value);
/* count[i]: of values in (bound[i - 1], bound[i]]; count[n_bounds]: of those above. */
void prometheus_histogram(struct bytes *out, const char *name,
                          const struct prometheus_labels *labels, const double *bound, int n_bounds,
                          const uint64_t *count, double sum);
