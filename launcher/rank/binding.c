#include "launcher/rank/binding.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sets ---- */

enum binding binding_of(const char *name)
{
    static const char *const names[] = {"none", "core", "numa", "auto"};
    for (int i = 0; i < BINDING_AUTO; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum binding)i;
    return BINDING_AUTO;
}

bool cpus_parse(cpu_set_t *out, const char *text)
{
    CPU_ZERO(out);
    while (*text != '\0' && *text != '\n') {
        char *rest;
        const long first = strtol(text, &rest, 10);
        long last = first;
        if (rest == text)
            return false;
        if (*rest == '-') {
            text = rest + 1;
            last = strtol(text, &rest, 10);
            if (rest == text)
                return false;
        }
        if (first < 0 || last < first || last >= CPU_SETSIZE)
            return false;
        for (long cpu = first; cpu <= last; cpu++)
            CPU_SET((size_t)cpu, out);
        if (*rest != ',' && *rest != '\0' && *rest != '\n')
            return false;
        text = rest + (*rest == ',');
    }
    return true;
}

/* CPUs of `all` number first to last - 1 when they are counted node by node, so that a part has as
 * few nodes as can be. A CPU of no node comes last. */
static void part_of(cpu_set_t *out, const cpu_set_t *all, const struct numa_nodes *nodes, int first,
                    int last)
{
    cpu_set_t rest = *all;
    int at = 0;
    CPU_ZERO(out);
    for (int node = 0; node <= nodes->n; node++)
        for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET(cpu, &rest) || (node < nodes->n && !CPU_ISSET(cpu, &nodes->cpus[node])))
                continue;
            CPU_CLR(cpu, &rest);
            if (at >= first && at < last)
                CPU_SET(cpu, out);
            at++;
        }
}

/* The nodes that have a CPU of `all`, and of each these CPUs. */
static struct numa_nodes usable(const struct numa_nodes *nodes, const cpu_set_t *all)
{
    struct numa_nodes out = {.n = 0};
    for (int node = 0; node < nodes->n; node++) {
        CPU_AND(&out.cpus[out.n], &nodes->cpus[node], all);
        out.n += CPU_COUNT(&out.cpus[out.n]) > 0;
    }
    return out;
}

static void choose_nodes(const struct numa_nodes *nodes, int n, cpu_set_t *gets)
{
    for (int i = 0; i < n; i++) {
        const int first = nodes->n * i / n;
        const int last = nodes->n >= n ? nodes->n * (i + 1) / n : first + 1;
        CPU_ZERO(&gets[i]);
        for (int node = first; node < last; node++)
            CPU_OR(&gets[i], &gets[i], &nodes->cpus[node]);
    }
}

void binding_choose(enum binding binding, const struct numa_nodes *nodes, const cpu_set_t *may,
                    int n, cpu_set_t *gets)
{
    bool bound = false;
    for (int i = 0; i < n; i++) {
        gets[i] = may[i];
        bound = bound || !CPU_EQUAL(&may[i], &may[0]);
    }
    const struct numa_nodes here = usable(nodes, &may[0]);
    const int n_cpus = CPU_COUNT(&may[0]);
    if (bound || binding == BINDING_NONE || (binding == BINDING_AUTO && (here.n < 2 || n < 2)))
        return;
    if (binding != BINDING_CORE) {
        if (here.n > 0)
            choose_nodes(&here, n, gets);
        return;
    }
    for (int i = 0; i < n && n_cpus >= n; i++)
        part_of(&gets[i], &may[0], nodes, n_cpus * i / n, n_cpus * (i + 1) / n);
}

int binding_share(const cpu_set_t *gets, int n, int rank)
{
    int n_alike = 0;
    for (int i = 0; i < n; i++)
        n_alike += CPU_EQUAL(&gets[i], &gets[rank]);
    return CPU_COUNT(&gets[rank]) / n_alike;
}

/* ---- the system ---- */

enum { KERNEL_ID_BYTES = 40, LIST_MAX_BYTES = 4096 };

struct place { /* of one rank, as all others hear it */
    char kernel[KERNEL_ID_BYTES];
    cpu_set_t may;
};

static bool read_list(cpu_set_t *out, const char *path)
{
    struct error ignored = {0};
    char *text;
    size_t n_bytes;
    if (!file_exists(path) || !file_read(&text, &n_bytes, path, LIST_MAX_BYTES, &ignored))
        return false;
    const bool good = cpus_parse(out, text);
    memory_free(text);
    return good;
}

static struct numa_nodes read_nodes(void)
{
    struct numa_nodes out = {.n = 0};
    for (int node = 0; node < BINDING_MAX_NODES; node++) {
        char path[80];
        snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", node);
        out.n += read_list(&out.cpus[out.n], path);
    }
    return out;
}

static struct place read_place(void)
{
    struct place out = {.kernel = ""};
    struct error ignored = {0};
    char *id;
    size_t n_bytes;
    if (file_read(&id, &n_bytes, "/proc/sys/kernel/random/boot_id", LIST_MAX_BYTES, &ignored)) {
        snprintf(out.kernel, sizeof out.kernel, "%s", id);
        memory_free(id);
    }
    if (sched_getaffinity(0, sizeof out.may, &out.may) != 0)
        for (int cpu = 0; cpu < system_cpus() && cpu < CPU_SETSIZE; cpu++)
            CPU_SET((size_t)cpu, &out.may);
    return out;
}

/* Fills may[] with the sets of the ranks that share this kernel; *me is this rank among them. */
static bool exchange(const struct ranks *ranks, cpu_set_t *may, int *n, int *me, struct error *err)
{
    const struct place mine = read_place();
    *n = *me = 0;
    for (int root = 0; root < ranks->world_size; root++) {
        struct place theirs = mine;
        if (!comm_broadcast(ranks->world, &theirs, sizeof theirs, root, true, err))
            return false;
        if (root == ranks->world_rank)
            *me = *n;
        if (root == ranks->world_rank || strncmp(theirs.kernel, mine.kernel, KERNEL_ID_BYTES) == 0)
            may[(*n)++] = theirs.may;
    }
    return true;
}

bool binding_apply(enum binding binding, const struct ranks *ranks, int *n_cpus, struct error *err)
{
    cpu_set_t *may = memory_alloc((size_t)ranks->world_size, sizeof *may);
    cpu_set_t *gets = memory_alloc((size_t)ranks->world_size, sizeof *gets);
    int n, me;
    const bool good = exchange(ranks, may, &n, &me, err);
    if (good) {
        const struct numa_nodes nodes = read_nodes();
        binding_choose(binding, &nodes, may, n, gets);
        if (CPU_EQUAL(&gets[me], &may[me]) || sched_setaffinity(0, sizeof gets[me], &gets[me]) != 0)
            gets[me] = may[me];
        else
            log_write(LOG_INFO, "rank", "keeps to %d of %d CPUs", CPU_COUNT(&gets[me]),
                      CPU_COUNT(&may[me]));
        *n_cpus = binding_share(gets, n, me);
        if (me == 0 && *n_cpus == 0)
            log_write(LOG_INFO, "rank",
                      "%d ranks share the %d CPUs of this host: right, and slower than fewer", n,
                      CPU_COUNT(&may[me]));
    }
    memory_free(gets);
    memory_free(may);
    return good;
}
