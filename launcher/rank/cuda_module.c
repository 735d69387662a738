#include "launcher/rank/cuda_module.h"

#include "base/error.h"
#include "launcher/rank/build_id.h"

#include <dlfcn.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static bool module_path(char path[PATH_MAX], struct error *err)
{
    static const char name[] = "phalanx-cuda.so";
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof name);
    if (n <= 0)
        return error_errno(err, "cannot find this program's own folder");
    path[n] = '\0';
    memcpy(strrchr(path, '/') + 1, name, sizeof name);
    return true;
}

/* "libnccl.so.2: cannot open shared object file: …": the loader's way to name what is missing. */
static bool refuse(const char *path, const char *said, struct error *err)
{
    const char *end = strstr(said, ": cannot open shared object file");
    if (end != NULL)
        return error_set(
            err, ERROR_UNSUPPORTED,
            "no GPU can be used: %.*s is not installed (or not where the system looks: "
            "set LD_LIBRARY_PATH)",
            (int)(end - said), said);
    return error_set(err, ERROR_UNSUPPORTED, "no GPU can be used: %s cannot be loaded: %s", path,
                     said);
}

bool cuda_module_load(const struct cuda_entry **out, struct error *err)
{
    char path[PATH_MAX];
    if (!module_path(path, err))
        return false;
    if (access(path, F_OK) != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "no GPU can be used: this build has no CUDA (%s is missing)", path);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL)
        return refuse(path, dlerror(), err);
    const struct cuda_entry *entry = dlsym(module, CUDA_ENTRY_NAME);
    if (entry == NULL || strcmp(entry->build_id, build_id) != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "no GPU can be used: %s was built from other sources than this program; "
                         "install both together",
                         path);
    *out = entry;
    return true;
}

/* ---- for doctor ---- */

static void tell_gpus(const struct cuda_about *about, FILE *out)
{
    for (int i = 0; i < about->n_gpus; i++) {
        const struct cuda_gpu *gpu = &about->gpu[i];
        fprintf(out, "gpu        %d: %s, %.1f GB, sm_%d%s\n", i, gpu->name,
                (double)gpu->memory_bytes / 1e9, gpu->architecture,
                gpu->architecture < CUDA_OLDEST_GPU ? "; too old, 80 is the least" : "");
    }
}

void cuda_module_tell(FILE *out)
{
    const struct cuda_entry *cuda;
    struct cuda_about about;
    struct error err = {0};
    if (!cuda_module_load(&cuda, &err)) {
        fprintf(out, "gpu        %s\n", err.text);
        return;
    }
    if (cuda->about(&about, &err))
        tell_gpus(&about, out);
    else
        fprintf(out, "gpu        %s\n", err.text);
    fprintf(out, "cuda       %d.%d, driver for ", about.runtime / 1000, about.runtime % 1000 / 10);
    if (about.driver > 0)
        fprintf(out, "%d.%d", about.driver / 1000, about.driver % 1000 / 10);
    else
        fprintf(out, "none");
    const int64_t lt = about.cublaslt;
    fprintf(out, ", cuBLASLt %d.%d.%d, NCCL %d.%d.%d\n", (int)(lt / 10000), (int)(lt % 10000 / 100),
            (int)(lt % 100), about.nccl / 10000, about.nccl % 10000 / 100, about.nccl % 100);
}
