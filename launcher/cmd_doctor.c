/* phalanx doctor: what this machine and this build can do, and what is missing. One line a fact;
 * a line that starts with "!" says what would help. */
#include "base/error.h"
#include "base/system.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/features.h"
#include "launcher/commands.h"
#include "launcher/model_path.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { GB = 1000000000 };
static const double SMALL_SHM_BYTES = 256e6; /* what communicators of 16 ranks and MPI need */

static void show_cpu(void)
{
    printf("cpu        %d usable, kernels", system_cpus());
    const char *best = "none";
    for (int i = 0; i < n_cpu_levels; i++) {
        const bool runs = (cpu_levels[i].needs & ~cpu_features()) == 0;
        printf(" %s%s", runs ? "" : "no-", cpu_levels[i].ops.name);
        best = runs ? cpu_levels[i].ops.name : best;
    }
    printf("; used: %s\n", best);
}

static void show_memory(void)
{
    struct statvfs shm;
    const int64_t available = system_available_bytes();
    printf("memory     %.1f GB available\n", (double)available / GB);
    if (statvfs("/dev/shm", &shm) != 0) {
        printf("! /dev/shm is missing: ranks of one host will talk through MPI\n");
        return;
    }
    const double free_bytes = (double)shm.f_bavail * (double)shm.f_frsize;
    printf("/dev/shm   %.2f GB free\n", free_bytes / GB);
    if (access("/dev/shm", W_OK) != 0)
        printf("! /dev/shm cannot be written: give --comm mpi with -tp 2 and more\n");
    if (free_bytes < SMALL_SHM_BYTES)
        printf("! /dev/shm is small: in Docker give --shm-size=1g\n");
}

/* The first line that a program prints, or false when it cannot be run. */
static bool first_line(const char *command, char *out, int n)
{
    FILE *pipe = popen(command, "r");
    if (pipe == NULL)
        return false;
    const bool got = fgets(out, n, pipe) != NULL;
    char rest[256];
    while (fgets(rest, sizeof rest, pipe) != NULL) {
    }
    out[strcspn(out, "\n")] = '\0';
    return pclose(pipe) == 0 && got;
}

static void show_mpi(void)
{
    char line[200];
    if (first_line("mpirun --version 2>/dev/null", line, sizeof line))
        printf("mpi        %s\n", line);
    else
        printf(
            "! mpirun is not installed: one rank only; install openmpi-bin for -tp 2 and more\n");
}

/* A rank knows: only it loads the libraries of NVIDIA. */
static void show_gpus(void)
{
    char here[MODEL_PATH_BYTES], command[MODEL_PATH_BYTES + 64], line[512];
    struct error err = {0};
    if (!program_folder(here, &err))
        return;
    snprintf(command, sizeof command, "'%s/phalanx-rank' --gpus 2>/dev/null", here);
    FILE *pipe = strchr(here, '\'') == NULL ? popen(command, "r") : NULL;
    while (pipe != NULL && fgets(line, sizeof line, pipe) != NULL)
        fputs(line, stdout);
    if (pipe != NULL)
        pclose(pipe);
}

static void show_limits(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    printf("limits     %llu open files\n", (unsigned long long)files.rlim_cur);
    if (files.rlim_cur < 1024)
        printf("! few open files are allowed: ulimit -n 4096\n");
}

static void show_installation(void)
{
    char here[MODEL_PATH_BYTES], demo[MODEL_PATH_BYTES], rank[MODEL_PATH_BYTES + 16];
    struct error err = {0};
    if (program_folder(here, &err)) {
        snprintf(rank, sizeof rank, "%s/phalanx-rank", here);
        printf(access(rank, X_OK) == 0 ? "programs   %s\n" : "! %s/phalanx-rank is missing\n",
               here);
    }
    struct error none = {0};
    if (model_path_demo(demo, &none))
        printf("demo       %s\n", demo);
    else
        printf("! no demo model: %s\n", none.text);
}

bool cmd_doctor(const struct options *options, struct error *err)
{
    (void)options;
    (void)err;
    show_cpu();
    show_memory();
    show_mpi();
    show_gpus();
    show_limits();
    show_installation();
    return true;
}
