/* phalanx serve: a model for many users, over HTTP and gRPC, until a signal ends it. */
#include "base/error.h"
#include "base/log.h"
#include "launcher/commands.h"
#include "launcher/serve/server.h"
#include "runtime/options/options.h"

#include <string.h>

bool cmd_serve(const struct options *options, const volatile sig_atomic_t *interrupt,
               struct error *err)
{
    struct server *server;
    const bool said = options_is_given(options, "--log-level");
    log_set(said ? log_level_named(options->log_level) : LOG_INFO, -1);
    log_set_never_waits(); /* for who reads the log: users wait for answers */
    log_set_format(strcmp(options->serve.log_format, "json") == 0 ? LOG_JSON : LOG_TEXT);
    const bool good = server_open(&server, options, interrupt, err) && server_load(server, err) &&
                      server_run(server, err);
    server_close(server);
    if (good || *interrupt == 0)
        return good;
    *err = (struct error){0}; /* a signal while it loaded: that is what the user wanted */
    return true;
}
