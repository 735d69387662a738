/* Stands in for ranks_mpi.c and comm_mpi.c in a build without MPI, so that callers need no #ifdef.
 */
#include "base/error.h"
#include "parallel/launch_place.h"
#include "parallel/ranks_place.h"

bool ranks_open(struct ranks *out, const struct ranks_settings *settings, struct error *err)
{
    *out = (struct ranks){0};
    if (!ranks_check_launcher(err))
        return false;
    if (launch_has_world())
        return error_set(
            err, ERROR_UNSUPPORTED,
            "this build has no MPI, and mpirun or srun started this process: configure "
            "with -DWITH_MPI=ON and an MPI library, or start one process by hand");
    return ranks_open_alone(out, settings, err);
}
