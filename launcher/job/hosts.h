/* launcher/job/hosts.h: the hosts of a job, from a file in mpirun's format:
 *
 *     # name, and how many ranks it may have
 *     node1 slots=4
 *     node2 slots=4
 *
 * A host that is named again has the slots of both lines, in the place of the first.
 */
#pragma once
#include <stdbool.h>

struct error;

enum { HOSTS_MAX = 4096, HOST_NAME_BYTES = 256, HOST_SLOTS_MAX = 4096 };

struct host {
    char name[HOST_NAME_BYTES];
    int slots; /* at least 1 */
};

struct hosts {
    struct host *item;
    int n;
};

/* ERROR_INPUT with the number of the line. hosts_release() also after a failure. */
bool hosts_read(struct hosts *out, const char *path, struct error *err);
void hosts_release(struct hosts *hosts);

/* How many ranks each host gets, in n_ranks[hosts->n]: ranks fill the hosts in order, world rank 0
 * first. The tp_size ranks of a pipeline stage talk most and stay on one host wherever all stages
 * can; else slots are filled to the last. ERROR_INPUT when there are too few slots. */
bool hosts_place(const struct hosts *hosts, int tp_size, int pp_stages, int *n_ranks,
                 struct error *err);

/* Whether this machine is called so: by its name, short or long, or by one of its addresses. */
bool host_is_this(const char *name);
