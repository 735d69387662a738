/* kernels/cuda/cuda_settings.h: what a GPU is opened with, for those who do not know CUDA: this
 * header includes none of it. The functions are in the module (launcher/rank/cuda_module.h).
 */
#pragma once
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct device;
struct error;

/* How many GPUs this process can use. ERROR_UNSUPPORTED, in words for users: no driver, one that is
 * too old for this build (says both versions), no GPU. */
bool cuda_count_devices(int *n, struct error *err);

struct cuda_settings {
    int index;              /* of the GPU, from 0 */
    bool exact;             /* --numerics exact */
    bool graphs;            /* false: every kernel is started by itself (--enforce-eager) */
    const char *algorithms; /* file of chosen cuBLASLt algorithms; NULL: none is kept */
};
/* ERROR_UNSUPPORTED: as cuda_count_devices(), fewer GPUs than index says (both numbers), one older
 * than sm_80. ERROR_SYSTEM: the GPU cannot be used now (another process has it for itself). */
bool device_open_cuda(struct device **out, const struct cuda_settings *settings, struct error *err);

#ifdef __cplusplus
}
#endif
