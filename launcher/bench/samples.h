/* launcher/bench/samples.h: numbers that were measured, and what is said of them. */
#pragma once
#include <jansson.h>
#include <stddef.h>

struct samples { /* all zero: none */
    double *value;
    size_t n, capacity;
};

void samples_add(struct samples *samples, double value);
/* Percentile p of 0 .. 100, between neighbours as numpy does by default; 0 of none. Sorts. */
double samples_percentile(struct samples *samples, double p);
double samples_mean(const struct samples *samples);
double samples_std(const struct samples *samples); /* of the population, as numpy's default */
void samples_release(struct samples *samples);

/* "what  median 1.23 ms, mean 1.30, p90 2.00, p99 2.10"; values are seconds. Nothing for none. */
void samples_print(struct samples *samples, const char *what);
/* A new object: mean, median, p90, p99 in milliseconds. */
json_t *samples_json(struct samples *samples);
