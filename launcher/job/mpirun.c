#include "launcher/job/mpirun.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "launcher/job/hosts.h"
#include "launcher/job/mpirun_files.h"
#include "launcher/model_path.h"
#include "runtime/options/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_installed(const char *name)
{
    const char *path = getenv("PATH");
    char file[MODEL_PATH_BYTES];
    for (const char *at = path ? path : ""; *at != '\0'; at += strcspn(at, ":"), at += *at == ':') {
        snprintf(file, sizeof file, "%.*s/%s", (int)strcspn(at, ":"), at, name);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

/* "a:2,b:2": the hosts and their ranks, in order. Said so, because a hostfile would let mpirun
 * choose. NULL on failure. */
static char *place_ranks(const struct options *options, struct arena *arena, struct error *err)
{
    struct hosts hosts;
    char *text = NULL;
    int *n_ranks = NULL;
    bool good = hosts_read(&hosts, options->hostfile, err);
    if (good) {
        n_ranks = memory_alloc((size_t)hosts.n, sizeof *n_ranks);
        good = hosts_place(&hosts, (int)options->tensor_parallel_size,
                           (int)options->pipeline_parallel_size, n_ranks, err);
    }
    if (good && !host_is_this(hosts.item[0].name))
        good = error_set(err, ERROR_INPUT,
                         "--hostfile %s begins with %s, which is not this host: rank 0 runs beside "
                         "this program, so name this host first, or start phalanx there",
                         options->hostfile, hosts.item[0].name);
    if (good) {
        struct bytes list = {0};
        for (int i = 0; i < hosts.n; i++)
            if (n_ranks[i] > 0)
                bytes_printf(&list, "%s%s:%d", list.len > 0 ? "," : "", hosts.item[i].name,
                             n_ranks[i]);
        text = arena_copy_text(arena, list.data, list.len);
        bytes_release(&list);
    }
    memory_free(n_ranks);
    hosts_release(&hosts);
    return text;
}

bool mpirun_words(char *word[MPIRUN_WORDS_MAX], int *n, const struct options *options,
                  struct arena *arena, struct error *err)
{
    const int n_ranks = (int)(options->tensor_parallel_size * options->pipeline_parallel_size);
    char *hosts = NULL, count[16];
    *n = 0;
    if (options->hostfile != NULL && options->data_parallel_size > 1)
        return error_set(err, ERROR_INPUT,
                         "--hostfile is of one job, and -dp starts several: start phalanx once for "
                         "each replica");
    if (options->hostfile != NULL && (hosts = place_ranks(options, arena, err)) == NULL)
        return false;
    if (n_ranks == 1)
        return true;
    if (!is_installed("mpirun"))
        return error_set(err, ERROR_INPUT,
                         "%d ranks need mpirun, which is not installed: install Open MPI "
                         "(openmpi-bin), or use -tp 1 -pp 1",
                         n_ranks);
    word[(*n)++] = "mpirun";
    if (hosts != NULL) {
        word[(*n)++] = "--host";
        word[(*n)++] = hosts;
    }
    const int n_digits = snprintf(count, sizeof count, "%d", n_ranks);
    word[(*n)++] = "-n";
    word[(*n)++] = arena_copy_text(arena, count, (size_t)n_digits);
    return true;
}

/* "NAME=value" */
static bool is_set(const char *setting)
{
    const size_t n = strcspn(setting, "=") + 1;
    for (char **at = environ; *at != NULL; at++)
        if (strncmp(*at, setting, n) == 0)
            return true;
    return false;
}

char **mpirun_environment(const struct mpirun_files *files, struct arena *arena)
{
    static char *const settings[] = {
        "OMPI_ALLOW_RUN_AS_ROOT=1", /* containers run as root */
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
        "OMPI_MCA_rmaps_base_oversubscribe=1",     /* more ranks than cores: slow, not wrong */
        "OMPI_MCA_rmaps_base_mapping_policy=slot", /* ranks that talk most sit together */
        "OMPI_MCA_hwloc_base_binding_policy=none", /* ranks bind themselves: --bind */
        "OMPI_MCA_orte_execute_quiet=1",           /* the rank itself says what went wrong */
        "OMPI_MCA_opal_signal=",                   /* no stack of addresses for users */
        "OMPI_MCA_odls_base_sigkill_timeout=0",    /* what lost a rank has nothing to save */
        /* Between hosts: a cut link is a lost host after seconds, not after the 8 minutes of the
         * defaults, on both of its sides. */
        "OMPI_MCA_oob_tcp_keepalive_time=2",
        "OMPI_MCA_oob_tcp_keepalive_intvl=1",
        "OMPI_MCA_oob_tcp_keepalive_probes=3",
    };
    const size_t n_settings = sizeof settings / sizeof *settings;
    size_t n = 0;
    while (environ[n] != NULL)
        n++;
    char **out = arena_alloc(arena, n + n_settings + MPIRUN_FILES_SETTINGS + 1, sizeof *out);
    memcpy(out, environ, n * sizeof *out);
    for (size_t i = 0; i < n_settings; i++)
        if (!is_set(settings[i]))
            out[n++] = settings[i];
    mpirun_files_settings(files, arena, out + n); /* and the NULL at the end */
    return out;
}
