#include "launcher/rank/compute.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/device.h"
#include "launcher/rank/cuda_module.h"
#include "parallel/ranks.h"
#include "runtime/options/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- before the ranks are open ---- */

/* Asked of files: the module and its libraries are 200 MB and some tenths of a second, which a rank
 * on a machine without GPUs should not pay for being asked. /dev/dxg is Windows'.
 * PHALANX_FIND_GPUS=1 asks all the same; emulated GPUs, which have no files, are found so. */
static bool check_driver(struct error *err)
{
    const char *always = getenv("PHALANX_FIND_GPUS");
    return (always != NULL && strcmp(always, "1") == 0) || file_exists("/dev/nvidiactl") ||
           file_exists("/dev/dxg") ||
           error_set(err, ERROR_UNSUPPORTED,
                     "no GPU can be used: this machine has no NVIDIA driver (no /dev/nvidiactl)");
}

static bool find_gpus(struct rank_compute *out, struct error *err)
{
    return (out->wants_gpu || check_driver(err)) && cuda_module_load(&out->gpu, err) &&
           out->gpu->count_devices(&out->n_gpus, err);
}

/* $XDG_CACHE_HOME/phalanx/cublaslt, made where it can be: what is chosen once is known at the next
 * start. */
static char *algorithms_path(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char folder[4000], path[4096];
    if (cache != NULL && *cache == '/')
        snprintf(folder, sizeof folder, "%s", cache);
    else if (home != NULL && *home == '/')
        snprintf(folder, sizeof folder, "%s/.cache", home);
    else
        return NULL;
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/phalanx", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/phalanx/cublaslt", folder);
    return memory_copy_text(path);
}

static void choose_cpu(struct rank_compute *out, const struct options *options)
{
    out->gpu = NULL;
    out->exact = true;
    if (strcmp(options->numerics, "fast") == 0)
        log_write(LOG_INFO, "rank", "--numerics fast: CPUs have exact ones only");
}

static void choose_gpu(struct rank_compute *out, const struct options *options)
{
    out->wants_gpu = true;
    out->exact = strcmp(options->numerics, "exact") == 0;
    out->algorithms = algorithms_path();
    if (strcmp(options->numerics, "auto") == 0)
        log_write(
            LOG_INFO, "rank",
            "numerics: fast; --numerics exact gives bits that no batch and no number of ranks "
            "changes");
}

bool rank_compute_choose(struct rank_compute *out, const struct options *options, struct error *err)
{
    struct error why = {0};
    *out = (struct rank_compute){.wants_gpu = strcmp(options->device, "cuda") == 0};
    if (strcmp(options->device, "cpu") == 0) {
        choose_cpu(out, options);
        return true;
    }
    if (find_gpus(out, &why)) {
        choose_gpu(out, options);
        return true;
    }
    if (out->wants_gpu) {
        *err = why;
        return error_in(err, "--device cuda");
    }
    log_write(LOG_INFO, "rank", "device: cpu; %s", why.text);
    choose_cpu(out, options);
    return true;
}

/* ---- open ---- */

/* PHALANX_SHARE_GPU=1, for tests on a machine with one GPU: ranks may be more than GPUs. NCCL
 * refuses two ranks on one GPU, but not where they seem to be on two hosts. */
static bool shares_gpus(const struct ranks *ranks)
{
    const char *word = getenv("PHALANX_SHARE_GPU");
    char host[32];
    if (word == NULL || strcmp(word, "1") != 0)
        return false;
    snprintf(host, sizeof host, "rank-%d", ranks->world_rank);
    setenv("NCCL_HOSTID", host, 1);
    return true;
}

static bool check_number(const struct rank_compute *compute, const struct options *options,
                         const struct ranks *ranks, struct error *err)
{
    const int n_replicas = (int)options->data_parallel_size;
    const int wanted = ranks->local_size * n_replicas, n = compute->n_gpus;
    if (wanted <= n)
        return true;
    char replicas[40] = "";
    if (n_replicas > 1)
        snprintf(replicas, sizeof replicas, " (%d replicas of %d)", n_replicas, ranks->local_size);
    return error_set(
        err, ERROR_INPUT,
        "%d ranks%s want a GPU each, and this host has %d: start fewer (-tp, -pp, -dp), "
        "set CUDA_VISIBLE_DEVICES to more, or compute with --device cpu",
        wanted, replicas, n);
}

static bool open_gpu(struct rank_compute *compute, const struct options *options,
                     const struct ranks *ranks, struct error *err)
{
    const bool shared = shares_gpus(ranks);
    if (!shared && !check_number(compute, options, ranks, err))
        return false;
    const int index = (int)options->replica * ranks->local_size + ranks->local_rank;
    const struct cuda_settings settings = {.index = shared ? index % compute->n_gpus : index,
                                           .exact = compute->exact,
                                           .graphs = !options->enforce_eager,
                                           .algorithms = compute->algorithms};
    size_t n_free, n_all;
    if (!compute->gpu->open_device(&compute->device, &settings, err))
        return false;
    snprintf(compute->name, sizeof compute->name, "%s", compute->gpu->device_name(compute->device));
    device_memory(compute->device, &n_free, &n_all);
    compute->gpu_bytes = (int64_t)n_all;
    return true;
}

bool rank_compute_open(struct rank_compute *compute, const struct options *options,
                       const struct ranks *ranks, int n_threads, int64_t spin_ns, struct error *err)
{
    if (!device_open_cpu(&compute->host, options->kernels, n_threads, spin_ns, err))
        return false;
    if (compute->gpu != NULL)
        return open_gpu(compute, options, ranks, err);
    compute->device = compute->host;
    return true;
}

bool rank_compute_connect(const struct rank_compute *compute, struct ranks *ranks,
                          int64_t most_floats, struct error *err)
{
    const struct ranks_gpu gpu = {.device = compute->device,
                                  .open = compute->gpu ? compute->gpu->open_comm : NULL,
                                  .most_floats = (size_t)most_floats,
                                  .exact = compute->exact};
    return compute->gpu == NULL || ranks_use_gpu(ranks, &gpu, err);
}

void rank_compute_close(struct rank_compute *compute)
{
    if (compute->device != compute->host)
        device_close(compute->device);
    device_close(compute->host);
    memory_free(compute->algorithms);
    *compute = (struct rank_compute){0};
}
