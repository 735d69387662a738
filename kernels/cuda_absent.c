/* Stands in for kernels/cuda/ in a build without CUDA, so that callers need no #ifdef. */
#include "base/error.h"
#include "kernels/device.h"

bool device_open_cuda(struct device **out, int index, struct error *err)
{
    (void)out;
    return error_set(err, ERROR_UNSUPPORTED,
                     "GPU %d: this build has no CUDA: configure with -DWITH_CUDA=ON and a CUDA "
                     "toolkit, or run on the CPU",
                     index);
}
