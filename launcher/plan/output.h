/* launcher/plan/output.h: a plan for people and for programs. */
#pragma once
#include <stdio.h>

struct memory_plan;
struct options;

/* Aligned tables of at most 100 columns, sizes with three digits. */
void plan_print_table(const struct memory_plan *plan, const struct options *options, FILE *out);
/* One JSON object, all sizes in bytes. */
void plan_print_json(const struct memory_plan *plan, const struct options *options, FILE *out);
