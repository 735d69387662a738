/* runtime/forward/buckets.h: steps that are padded to a few sizes, each of which is recorded once.
 *
 * A step of few rows is hundreds of short kernels, and starting them one by one takes longer than
 * they run. So a step of which every row is wanted (each sequence decodes one token, or one and its
 * drafts) is padded with rows that nobody looks at to the next size of
 *
 *     1 2 4 8   16 24 .. 64   80 96 112 128   160 192 224 256   320 384 ..
 *
 * and run as the record of that size (kernels/device.h). Padding is at most 7 rows, for which the
 * weights are read anyway, and from 64 rows on at most a quarter of them.
 *
 * The first step of a size runs as it is, because operations choose their algorithms then and NCCL
 * connects ranks; the second one is recorded. That is a matter of milliseconds once for each size,
 * so it happens when a size is first met and not before the job is ready.
 */
#pragma once
#include "parallel/comm.h"
#include "runtime/step_plan.h"

#include <stdbool.h>

struct device;
struct device_record;

struct bucket {
    int n_rows;
    bool is_warm;                 /* has run once */
    struct device_record *record; /* NULL: not yet */
    struct comm_record calls;     /* of the group of the stage, in the record */
};

struct buckets {
    struct device *device;
    struct bucket *bucket; /* [n] by rows, ascending */
    int n;
};

/* Rows of the largest size that a job with these limits has: no more than it has memory for. */
int buckets_most(const struct plan_limits *limits);

/* None where the device has no records. */
void buckets_init(struct buckets *out, struct device *device, const struct plan_limits *limits);
void buckets_release(struct buckets *buckets); /* all zero is fine; nothing runs any more */

/* The one for a plan; NULL: it runs as it is. The same on all ranks that have the same limits. */
struct bucket *buckets_find(const struct buckets *buckets, const struct step_plan *plan);
