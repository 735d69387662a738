#include "launcher/serve/open_files.h"

#include "base/log.h"

#include <sys/resource.h>

enum { OWN_FILES = 64, FILES_OF_REPLICA = 16 }; /* links, pipes, event loops, files that are read */

/* The limit, raised to `wanted` where the system lets us. */
static rlim_t raise_limit(rlim_t wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return wanted;
    if (files.rlim_cur < wanted) {
        files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        getrlimit(RLIMIT_NOFILE, &files);
    }
    return files.rlim_cur;
}

int open_files_for_connections(int wanted, int n_protocols, int n_replicas)
{
    const rlim_t n = (rlim_t)n_protocols, all = n * (rlim_t)wanted;
    const rlim_t own = OWN_FILES + FILES_OF_REPLICA * (rlim_t)n_replicas;
    const rlim_t limit = raise_limit(own + all);
    if (limit >= own + all)
        return wanted;
    const rlim_t kept = own < limit / 2 ? own : limit / 2;
    const int fits = limit - kept >= n ? (int)((limit - kept) / n) : 1;
    log_write(LOG_WARN, "serve",
              "--max-connections is %d, not %d: the system lets this process have %llu files open "
              "(ulimit -n, LimitNOFILE), and some are for other things than connections",
              fits, wanted, (unsigned long long)limit);
    return fits;
}
