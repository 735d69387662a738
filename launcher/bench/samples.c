#include "launcher/bench/samples.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void samples_add(struct samples *samples, double value)
{
    if (samples->n == samples->capacity) {
        samples->capacity = 2 * samples->capacity + 64;
        samples->value = memory_resize(samples->value, samples->capacity, sizeof *samples->value);
    }
    samples->value[samples->n++] = value;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_percentile(struct samples *samples, double p)
{
    if (samples->n == 0)
        return 0;
    qsort(samples->value, samples->n, sizeof *samples->value, ascending);
    const double at = p / 100 * (double)(samples->n - 1);
    const size_t below = (size_t)at, above = below + 1 < samples->n ? below + 1 : below;
    const double part = at - (double)below;
    return samples->value[below] + part * (samples->value[above] - samples->value[below]);
}

double samples_mean(const struct samples *samples)
{
    double sum = 0;
    for (size_t i = 0; i < samples->n; i++)
        sum += samples->value[i];
    return samples->n > 0 ? sum / (double)samples->n : 0;
}

double samples_std(const struct samples *samples)
{
    const double mean = samples_mean(samples);
    double sum = 0;
    for (size_t i = 0; i < samples->n; i++)
        sum += (samples->value[i] - mean) * (samples->value[i] - mean);
    return samples->n > 0 ? sqrt(sum / (double)samples->n) : 0;
}

void samples_release(struct samples *samples)
{
    memory_free(samples->value);
    *samples = (struct samples){0};
}

void samples_print(struct samples *samples, const char *what)
{
    if (samples->n > 0)
        printf("%-11s median %.2f ms, mean %.2f, p90 %.2f, p99 %.2f\n", what,
               1e3 * samples_percentile(samples, 50), 1e3 * samples_mean(samples),
               1e3 * samples_percentile(samples, 90), 1e3 * samples_percentile(samples, 99));
}

json_t *samples_json(struct samples *samples)
{
    return json_pack("{sf sf sf sf}", "mean_ms", 1e3 * samples_mean(samples), "median_ms",
                     1e3 * samples_percentile(samples, 50), "p90_ms",
                     1e3 * samples_percentile(samples, 90), "p99_ms",
                     1e3 * samples_percentile(samples, 99));
}
