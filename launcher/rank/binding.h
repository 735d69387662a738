/* launcher/rank/binding.h: which CPUs of a host each of its ranks keeps to.
 *
 * Sets in, sets out: the first part asks the system nothing. The ranks of a host are those that
 * share a kernel, in the order of the world.
 */
#pragma once
#include <sched.h>
#include <stdbool.h>

struct error;
struct ranks;

enum binding {
    BINDING_NONE, /* as the launcher left it */
    BINDING_CORE, /* a part of the CPUs of its own, as equal as can be */
    BINDING_NUMA, /* whole NUMA nodes; more ranks than nodes share them */
    BINDING_AUTO, /* nodes where there are several, and several ranks; else nothing */
};
enum { BINDING_MAX_NODES = 64 };

/* The CPUs of each NUMA node; a machine without any is one node. */
struct numa_nodes {
    cpu_set_t cpus[BINDING_MAX_NODES];
    int n;
};

/* "auto", "none", "core", "numa", as --bind takes them. */
enum binding binding_of(const char *name);

/* may[i]: what rank i of the n ranks of this host may use now; gets[i]: what it is to use. Where
 * these differ among ranks a launcher has bound them already, and they stay as they are. */
void binding_choose(enum binding binding, const struct numa_nodes *nodes, const cpu_set_t *may,
                    int n, cpu_set_t *gets);

/* CPUs for the threads of rank `rank`: those of its set, shared with the ranks that have the same
 * one. 0: fewer CPUs than ranks. */
int binding_share(const cpu_set_t *gets, int n, int rank);

/* "0-3,8": a list as the kernel writes it. False: it is none, or a CPU is beyond CPU_SETSIZE. */
bool cpus_parse(cpu_set_t *out, const char *text);

/* Binds this process, which should have one thread yet, and says how many CPUs its threads have, as
 * binding_share() does. Collective over the world. A system that does not tell, or does not bind,
 * leaves things as they are. ERROR_PEER: a rank is gone. */
bool binding_apply(enum binding binding, const struct ranks *ranks, int *n_cpus, struct error *err);
