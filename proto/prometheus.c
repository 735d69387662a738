#include "proto/prometheus.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void add_escaped(struct bytes *out, const char *text, bool in_quotes)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            bytes_add_text(out, "\\\\");
        else if (*text == '\n')
            bytes_add_text(out, "\\n");
        else if (*text == '"' && in_quotes)
            bytes_add_text(out, "\\\"");
        else
            bytes_add_char(out, *text);
    }
}

void prometheus_family(struct bytes *out, const char *name, enum prometheus_type type,
                       const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    bytes_printf(out, "# HELP %s ", name);
    add_escaped(out, help, false);
    bytes_printf(out, "\n# TYPE %s %s\n", name, types[type]);
}

/* The shortest text that reads back as the same number. */
static void write_number(char out[32], double value)
{
    if (isinf(value)) {
        snprintf(out, 32, "%s", value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        double back;
        snprintf(out, 32, "%.*g", digits, value);
        if (sscanf(out, "%lf", &back) == 1 && back == value)
            return;
    }
}

static void add_label(struct bytes *out, const struct prometheus_label *label, bool first)
{
    bytes_printf(out, "%s%s=\"", first ? "{" : ",", label->name);
    add_escaped(out, label->value, true);
    bytes_add_char(out, '"');
}

void prometheus_sample(struct bytes *out, const char *name, const struct prometheus_labels *labels,
                       const struct prometheus_label *extra, double value)
{
    char number[32];
    bytes_add_text(out, name);
    for (int i = 0; i < labels->n; i++)
        add_label(out, &labels->label[i], i == 0);
    if (extra != NULL)
        add_label(out, extra, labels->n == 0);
    write_number(number, value);
    bytes_printf(out, "%s %s\n", labels->n > 0 || extra != NULL ? "}" : "", number);
}

void prometheus_histogram(struct bytes *out, const char *name,
                          const struct prometheus_labels *labels, const double *bound, int n_bounds,
                          const uint64_t *count, double sum)
{
    char part[128], number[32];
    uint64_t so_far = 0;
    snprintf(part, sizeof part, "%s_bucket", name);
    for (int i = 0; i <= n_bounds; i++) {
        so_far += count[i];
        write_number(number, i < n_bounds ? bound[i] : (double)INFINITY);
        prometheus_sample(out, part, labels, &(struct prometheus_label){"le", number},
                          (double)so_far);
    }
    snprintf(part, sizeof part, "%s_sum", name);
    prometheus_sample(out, part, labels, NULL, sum);
    snprintf(part, sizeof part, "%s_count", name);
    prometheus_sample(out, part, labels, NULL, (double)so_far);
}
