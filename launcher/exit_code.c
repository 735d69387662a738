#include "launcher/exit_code.h"

#include "base/error.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static void on_abort(int number)
{
    (void)number;
    _exit(EXIT_INTERNAL);
}

void exit_code_catch_bugs(void) { signal(SIGABRT, on_abort); }

enum exit_code exit_code_of(const struct error *err)
{
    if (strcmp(err->code, "drain_forced") == 0)
        return EXIT_DRAIN_FORCED;
    switch (err->kind) {
    case ERROR_NONE:
        return EXIT_CLEAN;
    case ERROR_INPUT:
    case ERROR_UNSUPPORTED:
        return EXIT_BAD_INPUT;
    case ERROR_PEER:
        return EXIT_RANK_LOST;
    case ERROR_LIMIT:
    case ERROR_SYSTEM:
        return EXIT_IO;
    }
    return EXIT_INTERNAL;
}
